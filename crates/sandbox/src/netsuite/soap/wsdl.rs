//! The service's description, made from the same declarations as everything else.
//!
//! The namespaces stand in the order of the vendor's own document: clients address types by that order.

use std::fmt::Write;

use super::{
    convert::{field_name, home, pascal, row_name},
    namespace,
};
use crate::netsuite::schema::{self, Family, Field, Kind, Type};

/// Namespaces by prefix, name and area.
const NAMESPACES: [(&str, &str, &str); 40] = [
    ("core", "core", "platform"),
    ("n1", "types.core", "platform"),
    ("n2", "types.faults", "platform"),
    ("faults", "faults", "platform"),
    ("messages", "messages", "platform"),
    ("common", "common", "platform"),
    ("n6", "types.common", "platform"),
    ("n7", "scheduling", "activities"),
    ("n8", "types.scheduling", "activities"),
    ("n9", "communication", "general"),
    ("n10", "types.communication", "general"),
    ("n11", "filecabinet", "documents"),
    ("n12", "types.filecabinet", "documents"),
    ("n13", "relationships", "lists"),
    ("n14", "types.relationships", "lists"),
    ("n15", "support", "lists"),
    ("n16", "types.support", "lists"),
    ("n17", "accounting", "lists"),
    ("n18", "types.accounting", "lists"),
    ("n19", "sales", "transactions"),
    ("n20", "types.sales", "transactions"),
    ("n21", "purchases", "transactions"),
    ("n22", "types.purchases", "transactions"),
    ("n23", "customers", "transactions"),
    ("n24", "types.customers", "transactions"),
    ("n25", "financial", "transactions"),
    ("n26", "types.financial", "transactions"),
    ("n27", "bank", "transactions"),
    ("n28", "types.bank", "transactions"),
    ("n29", "inventory", "transactions"),
    ("n30", "types.inventory", "transactions"),
    ("n31", "general", "transactions"),
    ("n32", "customization", "setup"),
    ("n33", "types.customization", "setup"),
    ("n34", "employees", "lists"),
    ("n35", "types.employees", "lists"),
    ("n36", "website", "lists"),
    ("n37", "types.website", "lists"),
    ("n38", "employees", "transactions"),
    ("n39", "types.employees", "transactions"),
];

/// Operation, what it takes, and what its answer holds.
const OPERATIONS: [(&str, &str, &str); 16] = [
    (
        "get",
        r#"<xsd:element name="baseRef" type="core:BaseRef"/>"#,
        r#"<xsd:element name="readResponse" type="messages:ReadResponse"/>"#,
    ),
    (
        "getList",
        r#"<xsd:element name="baseRef" type="core:BaseRef" minOccurs="0" maxOccurs="unbounded"/>"#,
        r#"<xsd:element name="readResponseList" type="messages:ReadResponseList"/>"#,
    ),
    ("getAll", r#"<xsd:element name="record" type="core:GetAllRecord"/>"#, r#"<xsd:element ref="core:getAllResult"/>"#),
    ("add", r#"<xsd:element name="record" type="core:Record"/>"#, WRITTEN),
    ("addList", r#"<xsd:element name="record" type="core:Record" minOccurs="0" maxOccurs="unbounded"/>"#, WRITTEN_LIST),
    ("update", r#"<xsd:element name="record" type="core:Record"/>"#, WRITTEN),
    ("updateList", r#"<xsd:element name="record" type="core:Record" minOccurs="0" maxOccurs="unbounded"/>"#, WRITTEN_LIST),
    ("upsert", r#"<xsd:element name="record" type="core:Record"/>"#, WRITTEN),
    ("upsertList", r#"<xsd:element name="record" type="core:Record" minOccurs="0" maxOccurs="unbounded"/>"#, WRITTEN_LIST),
    ("delete", r#"<xsd:element name="baseRef" type="core:BaseRef"/>"#, WRITTEN),
    ("deleteList", r#"<xsd:element name="baseRef" type="core:BaseRef" minOccurs="0" maxOccurs="unbounded"/>"#, WRITTEN_LIST),
    // The vendor's own spelling.
    ("attach", r#"<xsd:element name="attachReferece" type="core:AttachReference"/>"#, WRITTEN),
    ("search", r#"<xsd:element name="searchRecord" type="core:SearchRecord"/>"#, r#"<xsd:element ref="core:searchResult"/>"#),
    (
        "searchMoreWithId",
        r#"<xsd:element name="searchId" type="xsd:string"/><xsd:element name="pageIndex" type="xsd:int"/>"#,
        r#"<xsd:element ref="core:searchResult"/>"#,
    ),
    (
        "getDeleted",
        r#"<xsd:element name="getDeletedFilter" type="core:GetDeletedFilter"/><xsd:element name="pageIndex" type="xsd:int" minOccurs="0"/>"#,
        r#"<xsd:element ref="core:getDeletedResult"/>"#,
    ),
    ("getServerTime", "", r#"<xsd:element ref="core:getServerTimeResult"/>"#),
];
const WRITTEN: &str = r#"<xsd:element name="writeResponse" type="messages:WriteResponse"/>"#;
const WRITTEN_LIST: &str = r#"<xsd:element name="writeResponseList" type="messages:WriteResponseList"/>"#;

/// Header parts of requests, and their types.
const HEADERS: [(&str, &str); 5] = [
    ("applicationInfo", "messages:ApplicationInfo"),
    ("partnerInfo", "messages:PartnerInfo"),
    ("preferences", "messages:Preferences"),
    ("searchPreferences", "messages:SearchPreferences"),
    ("tokenPassport", "core:TokenPassport"),
];

/// The whole document of a version.
pub(super) fn document(version: &str, base: &str) -> String {
    let tns = format!("urn:platform_{version}.webservices.netsuite.com");
    let mut out = String::from(
        r#"<?xml version="1.0" encoding="UTF-8"?><definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:xsd="http://www.w3.org/2001/XMLSchema""#,
    );
    for (prefix, name, area) in NAMESPACES {
        let _ = write!(out, r#" xmlns:{prefix}="{}""#, namespace(name, area, version));
    }
    let _ = write!(out, r#" xmlns:tns="{tns}" targetNamespace="{tns}"><types>"#);
    for (prefix, name, area) in NAMESPACES {
        let _ =
            write!(out, r#"<xsd:schema elementFormDefault="qualified" targetNamespace="{}">"#, namespace(name, area, version));
        for (other, name, area) in NAMESPACES {
            if other != prefix {
                let _ = write!(out, r#"<xsd:import namespace="{}"/>"#, namespace(name, area, version));
            }
        }
        out.push_str(&schema(prefix, name, area));
        out.push_str("</xsd:schema>");
    }
    out.push_str("</types>");
    out.push_str(&service(version, base));
    out.push_str("</definitions>");
    out
}

fn schema(prefix: &str, name: &str, area: &str) -> String {
    let mut out = match prefix {
        "core" => include_str!("core.xsd.part").to_owned(),
        "n1" => types_core(),
        "messages" => messages(),
        "common" => common(),
        _ => String::new(),
    };
    for kind in schema::types().iter().filter(|kind| !kind.is_custom() && home(kind) == (name, area)) {
        record(&mut out, prefix, kind);
        if !matches!(kind.family, Family::Transaction | Family::Item) {
            searches(&mut out, prefix, &pascal(kind.name));
        }
    }
    match prefix {
        "n19" => searches(&mut out, prefix, "Transaction"),
        "n17" => searches(&mut out, prefix, "Item"),
        _ => {}
    }
    out
}

/// The names of records, as an enumeration.
fn types_core() -> String {
    let mut out = String::new();
    for name in ["RecordType", "GetAllRecordType", "SearchRecordType"] {
        let _ = write!(out, r#"<xsd:simpleType name="{name}"><xsd:restriction base="xsd:string"/></xsd:simpleType>"#);
    }
    for name in ["String", "Date", "Long", "Double", "MultiSelect", "EnumMultiSelect"] {
        let _ = write!(
            out,
            r#"<xsd:simpleType name="Search{name}FieldOperator"><xsd:restriction base="xsd:string"/></xsd:simpleType>"#
        );
    }
    out
}

fn messages() -> String {
    let mut out = include_str!("messages.xsd.part").to_owned();
    for (name, takes, gives) in OPERATIONS {
        let _ = write!(
            out,
            r#"<xsd:complexType name="{0}Request"><xsd:sequence>{takes}</xsd:sequence></xsd:complexType><xsd:element name="{name}" type="messages:{0}Request"/><xsd:complexType name="{0}Response"><xsd:sequence>{gives}</xsd:sequence></xsd:complexType><xsd:element name="{name}Response" type="messages:{0}Response"/>"#,
            pascal(name)
        );
    }
    for (name, kind) in HEADERS {
        let _ = write!(out, r#"<xsd:element name="{name}" type="{kind}"/>"#);
    }
    out
}

fn plain(kind: &Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Choice(_) | Kind::Status(_) => "xsd:string",
        Kind::Integer => "xsd:long",
        Kind::Float | Kind::Money => "xsd:double",
        Kind::Boolean => "xsd:boolean",
        Kind::Date | Kind::Stamp => "xsd:dateTime",
        Kind::Ref(_) => "core:RecordRef",
        Kind::Address => "common:Address",
    }
}

fn fields<'a>(out: &mut String, all: impl Iterator<Item = &'a Field>) {
    for field in all.filter(|field| !field.is_custom()) {
        let kind = if field.name == "content" { "xsd:base64Binary" } else { plain(&field.kind) };
        let _ = write!(out, r#"<xsd:element name="{}" type="{kind}" minOccurs="0"/>"#, field_name(field));
    }
}

fn record(out: &mut String, prefix: &str, kind: &Type) {
    let name = pascal(kind.name);
    let _ = write!(out, r#"<xsd:complexType name="{name}"><xsd:complexContent><xsd:extension base="core:Record"><xsd:sequence>"#);
    fields(out, kind.fields.iter());
    for sublist in &kind.sublists {
        let word = row_name(sublist);
        let _ = write!(out, r#"<xsd:element name="{word}List" type="{prefix}:{name}{}List" minOccurs="0"/>"#, pascal(word));
    }
    out.push_str(r#"<xsd:element name="customFieldList" type="core:CustomFieldList" minOccurs="0"/></xsd:sequence><xsd:attribute name="internalId" type="xsd:string"/><xsd:attribute name="externalId" type="xsd:string"/></xsd:extension></xsd:complexContent></xsd:complexType>"#);
    let first = name.chars().next().map(|first| first.to_lowercase().collect::<String>()).unwrap_or_default();
    let _ = write!(out, r#"<xsd:element name="{first}{}" type="{prefix}:{name}"/>"#, &name[1..]);
    for sublist in &kind.sublists {
        let (word, row) = (row_name(sublist), pascal(row_name(sublist)));
        let _ = write!(out, r#"<xsd:complexType name="{name}{row}"><xsd:sequence>"#);
        fields(out, sublist.fields.iter());
        let _ = write!(
            out,
            r#"</xsd:sequence></xsd:complexType><xsd:complexType name="{name}{row}List"><xsd:sequence><xsd:element name="{word}" type="{prefix}:{name}{row}" minOccurs="0" maxOccurs="unbounded"/></xsd:sequence><xsd:attribute name="replaceAll" type="xsd:boolean" default="true"/></xsd:complexType>"#
        );
    }
}

fn searches(out: &mut String, prefix: &str, name: &str) {
    let _ = write!(
        out,
        r#"<xsd:complexType name="{name}Search"><xsd:complexContent><xsd:extension base="core:SearchRecord"><xsd:sequence><xsd:element name="basic" type="common:{name}SearchBasic" minOccurs="0"/></xsd:sequence></xsd:extension></xsd:complexContent></xsd:complexType><xsd:complexType name="{name}SearchAdvanced"><xsd:complexContent><xsd:extension base="core:SearchRecord"><xsd:sequence><xsd:element name="criteria" type="{prefix}:{name}Search" minOccurs="0"/></xsd:sequence><xsd:attribute name="savedSearchId" type="xsd:string"/><xsd:attribute name="savedSearchScriptId" type="xsd:string"/></xsd:extension></xsd:complexContent></xsd:complexType><xsd:complexType name="{name}SearchRow"><xsd:complexContent><xsd:extension base="core:SearchRow"><xsd:sequence><xsd:element name="basic" type="common:{name}SearchRowBasic" minOccurs="0"/></xsd:sequence></xsd:extension></xsd:complexContent></xsd:complexType>"#
    );
}

/// Basic searches of every type and of the two families, and the rows of saved ones.
fn common() -> String {
    let mut out = include_str!("common.xsd.part").to_owned();
    let single =
        schema::types().iter().filter(|kind| !matches!(kind.family, Family::Transaction | Family::Item) && !kind.is_custom());
    for kind in single {
        basic(&mut out, &pascal(kind.name), &kind.fields.iter().collect::<Vec<_>>());
    }
    for (name, family) in [("Transaction", Family::Transaction), ("Item", Family::Item)] {
        let mut all: Vec<&Field> = Vec::new();
        for field in schema::types().iter().filter(|kind| kind.family == family).flat_map(|kind| &kind.fields) {
            if !all.iter().any(|known| known.name == field.name) {
                all.push(field);
            }
        }
        basic(&mut out, name, &all);
    }
    out
}

fn basic(out: &mut String, name: &str, all: &[&Field]) {
    let kind = |kind: &Kind| match kind {
        Kind::Text | Kind::Address => "String",
        Kind::Integer => "Long",
        Kind::Float | Kind::Money => "Double",
        Kind::Boolean => "Boolean",
        Kind::Date | Kind::Stamp => "Date",
        Kind::Ref(_) => "MultiSelect",
        Kind::Choice(_) | Kind::Status(_) => "EnumMultiSelect",
    };
    let _ = write!(
        out,
        r#"<xsd:complexType name="{name}SearchBasic"><xsd:complexContent><xsd:extension base="core:SearchRecordBasic"><xsd:sequence>"#
    );
    out.push_str(r#"<xsd:element name="internalId" type="core:SearchMultiSelectField" minOccurs="0"/><xsd:element name="externalId" type="core:SearchMultiSelectField" minOccurs="0"/><xsd:element name="type" type="core:SearchEnumMultiSelectField" minOccurs="0"/>"#);
    for field in all.iter().filter(|field| !field.is_custom() && field.name != "type") {
        let _ = write!(out, r#"<xsd:element name="{}" type="core:Search{}Field" minOccurs="0"/>"#, field.name, kind(&field.kind));
    }
    let _ = write!(
        out,
        r#"</xsd:sequence></xsd:extension></xsd:complexContent></xsd:complexType><xsd:complexType name="{name}SearchRowBasic"><xsd:sequence><xsd:element name="internalId" type="core:SearchColumnSelectField" minOccurs="0" maxOccurs="unbounded"/>"#
    );
    for field in all.iter().filter(|field| !field.is_custom()) {
        let column = match kind(&field.kind) {
            "MultiSelect" => "Select",
            "EnumMultiSelect" => "String",
            other => other,
        };
        let _ = write!(
            out,
            r#"<xsd:element name="{}" type="core:SearchColumn{column}Field" minOccurs="0" maxOccurs="unbounded"/>"#,
            field.name
        );
    }
    out.push_str("</xsd:sequence></xsd:complexType>");
}

fn service(version: &str, base: &str) -> String {
    let mut out = String::new();
    for (name, ..) in OPERATIONS {
        let _ = write!(out, r#"<message name="{name}Request"><part name="parameters" element="messages:{name}"/>"#);
        for (header, _) in HEADERS {
            let _ = write!(out, r#"<part name="{header}" element="messages:{header}"/>"#);
        }
        let _ = write!(
            out,
            r#"</message><message name="{name}Response"><part name="parameters" element="messages:{name}Response"/><part name="header" element="messages:documentInfo"/></message>"#
        );
    }
    out.push_str(r#"<portType name="NetSuitePortType">"#);
    for (name, ..) in OPERATIONS {
        let _ = write!(
            out,
            r#"<operation name="{name}"><input name="{name}Request" message="tns:{name}Request"/><output name="{name}Response" message="tns:{name}Response"/></operation>"#
        );
    }
    out.push_str(r#"</portType><binding name="NetSuiteBinding" type="tns:NetSuitePortType"><soap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>"#);
    for (name, ..) in OPERATIONS {
        let _ = write!(out, r#"<operation name="{name}"><soap:operation soapAction="{name}"/><input name="{name}Request">"#);
        for (header, _) in HEADERS {
            let _ = write!(out, r#"<soap:header message="tns:{name}Request" part="{header}" use="literal"/>"#);
        }
        let _ = write!(
            out,
            r#"<soap:body use="literal" parts="parameters"/></input><output name="{name}Response"><soap:header message="tns:{name}Response" part="header" use="literal"/><soap:body use="literal" parts="parameters"/></output></operation>"#
        );
    }
    let _ = write!(
        out,
        r#"</binding><service name="NetSuiteService"><port name="NetSuitePort" binding="tns:NetSuiteBinding"><soap:address location="{base}/services/NetSuitePort_{version}"/></port></service>"#
    );
    out
}
