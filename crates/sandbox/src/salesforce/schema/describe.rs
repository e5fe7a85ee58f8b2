//! An object as the describe calls tell it.

use serde_json::{Value as Json, json};

use super::{Field, Kind, Object, Schema, Write};
use crate::salesforce::value::Value;

/// One object, briefly: an entry of the list of all.
pub(in super::super) fn summary(object: &Object, version: &str) -> Json {
    let base = format!("/services/data/v{version}/sobjects/{}", object.name);
    let stored = !object.event();
    let mut urls = json!({ "sobject": base, "describe": format!("{base}/describe"), "rowTemplate": format!("{base}/{{ID}}") });
    if object.event() {
        urls["eventSchema"] = json!(format!("{base}/eventSchema"));
    }
    json!({
        "activateable": false, "associateEntityType": null, "associateParentEntity": null,
        "createable": object.writable, "custom": object.custom(), "customSetting": false, "deepCloneable": false,
        "deletable": object.deletable && stored, "deprecatedAndHidden": false, "feedEnabled": false, "hasSubtypes": false,
        "isInterface": false, "isSubtype": false, "keyPrefix": object.prefix, "label": object.label, "labelPlural": object.plural,
        "layoutable": stored, "mergeable": matches!(object.name.as_str(), "Account" | "Contact" | "Lead"), "mruEnabled": stored,
        "name": object.name, "queryable": stored, "replicateable": stored, "retrieveable": stored,
        "searchable": stored && object.name_place().is_some(), "triggerable": object.writable,
        "undeletable": object.deletable && stored, "updateable": object.writable && stored, "urls": urls,
    })
}

/// All of one object.
pub(in super::super) fn describe(schema: &Schema, place: usize, version: &str) -> Json {
    let object = &schema.objects[place];
    let mut told = summary(object, version);
    let children: Vec<Json> = schema
        .children_of(place)
        .into_iter()
        .map(|list| {
            let child = &schema.objects[list.object];
            json!({
                "cascadeDelete": list.cascades, "childSObject": child.name, "deprecatedAndHidden": false,
                "field": child.fields[list.field].name, "junctionIdListNames": [], "junctionReferenceTo": [],
                "relationshipName": list.name, "restrictedDelete": false,
            })
        })
        .collect();
    let fields: Vec<Json> = object.live_fields().map(|(_, field)| describe_field(field)).collect();
    told["actionOverrides"] = json!([]);
    told["childRelationships"] = json!(children);
    told["compactLayoutable"] = json!(true);
    told["fields"] = json!(fields);
    told["listviewable"] = Json::Null;
    told["lookupLayoutable"] = Json::Null;
    told["namedLayoutInfos"] = json!([]);
    told["networkScopeFieldName"] = Json::Null;
    told["recordTypeInfos"] = json!([{
        "active": true, "available": true, "defaultRecordTypeMapping": true, "developerName": "Master", "master": true,
        "name": "Master", "recordTypeId": "012000000000000AAA",
        "urls": { "layout": format!("/services/data/v{version}/sobjects/{}/describe/layouts/012000000000000AAA", object.name) },
    }]);
    told["searchLayoutable"] = json!(true);
    told["sobjectDescribeOption"] = json!("FULL");
    told["supportedScopes"] = json!([{ "label": format!("All {}", object.plural), "name": "everything" }, { "label": format!("My {}", object.plural), "name": "mine" }]);
    told
}

fn soap_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Id | Kind::Reference => "tns:ID",
        Kind::Boolean => "xsd:boolean",
        Kind::Int => "xsd:int",
        Kind::Double | Kind::Currency | Kind::Percent => "xsd:double",
        Kind::Date => "xsd:date",
        Kind::Datetime => "xsd:dateTime",
        Kind::Time => "xsd:time",
        Kind::Base64 => "xsd:base64Binary",
        Kind::Address => "urn:address",
        _ => "xsd:string",
    }
}

/// True when the system fills the field of a new record that leaves it out.
fn defaulted(field: &Field) -> bool {
    field.kind == Kind::Boolean || !field.default.is_null() || matches!(field.write, Write::Never) || field.name == "OwnerId"
}

fn describe_field(field: &Field) -> Json {
    let textual = matches!(
        field.kind,
        Kind::String
            | Kind::Textarea
            | Kind::Email
            | Kind::Phone
            | Kind::Url
            | Kind::Picklist
            | Kind::Multipicklist
            | Kind::Combobox
    );
    let picks: Vec<Json> = field
        .values
        .iter()
        .map(|value| {
            let chosen = field.default == Value::Text(value.as_str().into());
            json!({ "active": true, "defaultValue": chosen, "label": value, "validFor": null, "value": value })
        })
        .collect();
    let sortable = field.filterable && field.kind != Kind::Multipicklist;
    let mut told = json!({
        "aggregatable": field.filterable && field.kind != Kind::Boolean, "aiPredictionField": false,
        "autoNumber": field.auto_number, "byteLength": if textual { field.length * 3 } else { field.length },
        "calculated": field.calculated, "calculatedFormula": null, "cascadeDelete": field.cascades,
        "caseSensitive": field.case_sensitive, "compoundFieldName": field.part_of, "controllerName": null,
        "createable": field.write != Write::Never, "custom": field.custom(),
        "defaultValue": match &field.default { Value::Bool(value) => json!(value), _ => Json::Null },
        "defaultValueFormula": null, "defaultedOnCreate": defaulted(field), "dependentPicklist": false,
        "deprecatedAndHidden": false, "digits": if field.kind == Kind::Int { field.precision } else { 0 },
        "displayLocationInDecimal": false, "encrypted": false, "externalId": field.external_id, "extraTypeInfo": null,
        "filterable": field.filterable, "filteredLookupInfo": null, "formulaTreatNullNumberAsZero": false,
        "groupable": sortable && !matches!(field.kind, Kind::Double | Kind::Currency | Kind::Percent | Kind::Datetime),
        "highScaleNumber": false, "htmlFormatted": false, "idLookup": field.id_lookup, "inlineHelpText": null
    });
    let more = json!({
        "label": field.label, "length": field.length, "mask": null, "maskType": null, "name": field.name,
        "nameField": field.name_field, "namePointing": field.refers.len() > 1,
        "nillable": !field.required && !matches!(field.name.as_str(), "CreatedDate" | "CreatedById" | "LastModifiedDate" | "LastModifiedById" | "SystemModstamp"),
        "permissionable": field.custom() && !field.required, "picklistValues": picks,
        "polymorphicForeignKey": field.refers.len() > 1,
        "precision": if field.kind == Kind::Int { 0 } else { field.precision }, "queryByDistance": false,
        "referenceTargetField": null, "referenceTo": field.refers, "relationshipName": field.relation,
        "relationshipOrder": null, "restrictedDelete": false, "restrictedPicklist": field.restricted,
        "scale": field.scale, "searchPrefilterable": field.kind == Kind::Reference, "soapType": soap_type(field.kind),
        "sortable": sortable, "type": field.kind.name(), "unique": field.unique,
        "updateable": field.write == Write::Always, "writeRequiresMasterRead": false,
    });
    if let (Json::Object(told), Json::Object(more)) = (&mut told, more) {
        told.extend(more);
    }
    told
}
