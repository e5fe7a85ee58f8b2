//! A report in each of its formats.

use serde_json::{Map, Value as Json, json};

use super::{Column, reports::Report};
use crate::{
    workday::{
        TENANT,
        sources::{Row, Source, Type, When, cell},
        state::State,
    },
    xml::Writer,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    /// With references and their ids.
    Xml,
    /// Without them.
    SimpleXml,
    Csv,
    Gdata,
    Rss,
}

impl Format {
    /// By the parameter; full XML without one, which has no name of its own.
    pub(super) fn read(name: Option<&str>) -> Option<Self> {
        let Some(name) = name else { return Some(Self::Xml) };
        Some(match name.to_lowercase().as_str() {
            "json" => Self::Json,
            "simplexml" => Self::SimpleXml,
            "csv" => Self::Csv,
            "gdata" => Self::Gdata,
            "rss" => Self::Rss,
            _ => return None,
        })
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json;charset=UTF-8",
            Self::Csv => "text/csv;charset=UTF-8",
            Self::Gdata => "application/atom+xml;charset=UTF-8",
            Self::Rss => "application/rss+xml;charset=UTF-8",
            Self::Xml | Self::SimpleXml => "text/xml;charset=UTF-8",
        }
    }

    pub(super) fn head(self, report: &Report, columns: &[Column]) -> String {
        let declared = r#"<?xml version="1.0" encoding="UTF-8"?>"#;
        match self {
            Self::Json => "{\"Report_Entry\":[".to_owned(),
            Self::Csv => line(columns.iter().map(|column| column.name.clone())),
            Self::Xml | Self::SimpleXml => format!(r#"{declared}<wd:Report_Data xmlns:wd="{}">"#, namespace(report)),
            Self::Gdata => format!(r#"{declared}<feed xmlns="http://www.w3.org/2005/Atom"><title>{}</title>"#, report.name),
            Self::Rss => format!(r#"{declared}<rss version="2.0"><channel><title>{}</title>"#, report.name),
        }
    }

    pub(super) fn tail(self) -> String {
        match self {
            Self::Json => "]}",
            Self::Csv => "",
            Self::Xml | Self::SimpleXml => "</wd:Report_Data>",
            Self::Gdata => "</feed>",
            Self::Rss => "</channel></rss>",
        }
        .to_owned()
    }

    pub(super) fn between(self) -> &'static str {
        if self == Self::Json { "," } else { "" }
    }

    pub(super) fn row(self, out: &mut String, state: &State, report: &Report, columns: &[Column], row: &Row, when: When) {
        let cells = columns.iter().map(|column| (column, cell(state, row, column.alias, when)));
        match self {
            Self::Json => {
                let fields: Map<String, Json> = cells
                    .filter(|(_, value)| !value.is_null())
                    .map(|(column, value)| (column.name.clone(), flat(&value)))
                    .collect();
                out.push_str(&Json::Object(fields).to_string());
            }
            Self::Csv => out.push_str(&line(cells.map(|(_, value)| text(&value)))),
            Self::Xml | Self::SimpleXml => {
                let mut xml = Writer::new();
                xml.element("wd:Report_Entry", &[], |xml| {
                    for (column, value) in cells.filter(|(_, value)| !value.is_null()) {
                        element(xml, &format!("wd:{}", column.name), &value, self == Self::Xml);
                    }
                });
                out.push_str(&xml.finish());
            }
            Self::Gdata | Self::Rss => {
                let mut xml = Writer::new();
                let words: Vec<String> = cells.map(|(column, value)| format!("{}: {}", column.name, text(&value))).collect();
                xml.element(if self == Self::Rss { "item" } else { "entry" }, &[], |xml| {
                    xml.text("title", &[], words.first().map_or(report.name, String::as_str));
                    xml.text(if self == Self::Rss { "description" } else { "content" }, &[], &words.join("; "));
                });
                out.push_str(&xml.finish());
            }
        }
    }
}

fn namespace(report: &Report) -> String {
    format!("urn:com.workday.report/{}", report.name)
}

/// A value as JSON has it: all texts, booleans as `1` and `0` (unverified), lists as they are.
fn flat(value: &Json) -> Json {
    match value {
        Json::Array(list) => list.iter().map(|one| json!({ "descriptor": text(one), "id": one["id"] })).collect(),
        single => json!(text(single)),
    }
}

fn text(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Bool(yes) => if *yes { "1" } else { "0" }.to_owned(),
        Json::Array(list) => list.iter().map(text).collect::<Vec<_>>().join("; "),
        Json::Object(fields) => match (fields.get("descriptor"), fields.get("value")) {
            (Some(Json::String(text)), _) => text.clone(),
            (_, Some(number)) => number.to_string(),
            _ => String::new(),
        },
        number @ Json::Number(_) => number.to_string(),
    }
}

fn element(xml: &mut Writer, tag: &str, value: &Json, full: bool) {
    match value {
        Json::Array(list) => list.iter().for_each(|one| element(xml, tag, one, full)),
        Json::Object(fields) if full && fields.contains_key("id") => {
            xml.element(tag, &[("wd:Descriptor", &text(value))], |xml| {
                xml.text("wd:ID", &[("wd:type", "WID")], fields["id"].as_str().unwrap_or_default());
            });
        }
        single => xml.text(tag, &[], &text(single)),
    }
}

/// A line of CSV with its end.
fn line(cells: impl Iterator<Item = String>) -> String {
    let quoted =
        cells.map(|cell| if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell });
    quoted.collect::<Vec<_>>().join(",") + "\r\n"
}

/// The schema of a report, as it stands in a document of its own and in the WSDL. The simple one tells of references
/// what JSON holds of them: their text, and records of text where there are several.
fn schema(report: &Report, columns: &[Column], simple: bool) -> String {
    let target = namespace(report);
    let fields = Source::named(report.source).map(|source| source.fields).unwrap_or_default();
    let mut xml = Writer::new();
    let attributes = [
        ("xmlns:xsd", "http://www.w3.org/2001/XMLSchema"),
        ("xmlns:wd", target.as_str()),
        ("elementFormDefault", "qualified"),
        ("attributeFormDefault", "qualified"),
        ("targetNamespace", target.as_str()),
    ];
    xml.element("xsd:schema", &attributes, |xml| {
        xml.element("xsd:element", &[("name", "Report_Data"), ("type", "wd:Report_DataType")], |_| {});
        let group = concat!(
            r#"<xsd:complexType name="InstanceType"><xsd:sequence><xsd:element name="descriptor" type="xsd:string" minOccurs="0"/>"#,
            r#"<xsd:element name="id" type="xsd:string" minOccurs="0"/></xsd:sequence></xsd:complexType>"#,
        );
        let full = concat!(
            r#"<xsd:complexType name="IDType"><xsd:simpleContent><xsd:extension base="xsd:string">"#,
            r#"<xsd:attribute name="type" type="xsd:string"/></xsd:extension></xsd:simpleContent></xsd:complexType>"#,
            r#"<xsd:complexType name="InstanceType"><xsd:sequence><xsd:element name="ID" type="wd:IDType" minOccurs="0" maxOccurs="unbounded"/>"#,
            r#"</xsd:sequence><xsd:attribute name="Descriptor" type="xsd:string"/></xsd:complexType>"#,
        );
        xml.raw(if simple { group } else { full });
        xml.element("xsd:complexType", &[("name", "Report_EntryType")], |xml| {
            xml.element("xsd:sequence", &[], |xml| {
                for column in columns {
                    let of = fields.iter().find(|field| field.alias == column.alias).map_or(Type::Text, |field| field.of);
                    let kind = match of {
                        Type::Single if simple => "xsd:string",
                        Type::Single | Type::Multi => "wd:InstanceType",
                        Type::Date => "xsd:date",
                        Type::Boolean => "xsd:boolean",
                        Type::Numeric | Type::Currency => "xsd:decimal",
                        Type::Text => "xsd:string",
                    };
                    // Only what is more than one says so: a public client refuses any other number.
                    let mut attributes = vec![("name", &*column.name), ("type", kind), ("minOccurs", "0")];
                    attributes.extend((of == Type::Multi).then_some(("maxOccurs", "unbounded")));
                    xml.element("xsd:element", &attributes, |_| {});
                }
            });
        });
        xml.raw(concat!(
            r#"<xsd:complexType name="Report_DataType"><xsd:sequence>"#,
            r#"<xsd:element name="Report_Entry" type="wd:Report_EntryType" minOccurs="0" maxOccurs="unbounded"/>"#,
            r#"</xsd:sequence></xsd:complexType>"#,
        ));
    });
    xml.finish()
}

/// The answer to `?xsd`, and to `?xsds`, which is simple.
pub(super) fn xsd(report: &Report, columns: &[Column], simple: bool) -> String {
    format!(r#"<?xml version="1.0" encoding="UTF-8"?>{}"#, schema(report, columns, simple))
}

/// The answer to `?wsdl`: the schema and where the report is.
pub(super) fn wsdl(report: &Report, columns: &[Column], base: &str) -> String {
    let mut xml = Writer::document();
    let target = namespace(report);
    let attributes = [
        ("xmlns:wsdl", "http://schemas.xmlsoap.org/wsdl/"),
        ("xmlns:http", "http://schemas.xmlsoap.org/wsdl/http/"),
        ("name", report.name),
        ("targetNamespace", target.as_str()),
    ];
    xml.element("wsdl:definitions", &attributes, |xml| {
        xml.element("wsdl:types", &[], |xml| xml.raw(&schema(report, columns, false)));
        xml.element("wsdl:service", &[("name", report.name)], |xml| {
            let location = format!("{base}/ccx/service/customreport2/{TENANT}");
            xml.element("http:address", &[("location", &location)], |_| {});
        });
    });
    xml.finish()
}
