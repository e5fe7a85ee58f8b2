//! The WSDL of a service: the schema and its operations.

use super::schema::XSD;
use crate::{workday::TENANT, xml::Writer};

/// The headers and faults every operation shares: the message's name, its part and its element.
const SHARED: [(&str, &str, &str); 3] = [
    ("Workday_Common_HeaderMsg", "header", "wd:Workday_Common_Header"),
    ("Validation_FaultMsg", "fault", "wd:Validation_Fault"),
    ("Processing_FaultMsg", "fault", "wd:Processing_Fault"),
];
const FAULTS: [&str; 2] = ["Validation_Fault", "Processing_Fault"];

/// The document of a service at an address.
pub(super) fn wsdl(service: &str, version: &str, base: &str, operations: &[(&str, &str, &str)]) -> String {
    let target = format!("urn:com.workday/bsvc/{service}");
    let attributes = [
        ("name", service),
        ("targetNamespace", &*target),
        ("xmlns:wsdl", "http://schemas.xmlsoap.org/wsdl/"),
        ("xmlns:soapbind", "http://schemas.xmlsoap.org/wsdl/soap/"),
        ("xmlns:xsd", "http://www.w3.org/2001/XMLSchema"),
        ("xmlns:wd", super::BSVC),
        ("xmlns:wd-wsdl", &*target),
    ];
    let address = format!("{base}/ccx/service/{TENANT}/{service}/{version}");
    let mut xml = Writer::document();
    xml.element("wsdl:definitions", &attributes, |xml| {
        xml.element("wsdl:types", &[], |xml| xml.raw(XSD));
        messages(xml, operations);
        port(xml, service, operations);
        binding(xml, service, operations);
        let (name, bound) = (format!("{service}Service"), format!("wd-wsdl:{service}Binding"));
        xml.element("wsdl:service", &[("name", &name)], |xml| {
            xml.element("wsdl:port", &[("name", service), ("binding", &bound)], |xml| {
                xml.element("soapbind:address", &[("location", &address)], |_| {});
            });
        });
    });
    xml.finish()
}

fn message(xml: &mut Writer, name: &str, part: &str, element: &str) {
    xml.element("wsdl:message", &[("name", name)], |xml| {
        xml.element("wsdl:part", &[("name", part), ("element", element)], |_| {});
    });
}

fn messages(xml: &mut Writer, operations: &[(&str, &str, &str)]) {
    for (name, request, response) in operations {
        message(xml, &format!("{name}InputMsg"), "body", &format!("wd:{request}"));
        message(xml, &format!("{name}OutputMsg"), "body", &format!("wd:{response}"));
    }
    for (name, part, element) in SHARED {
        message(xml, name, part, element);
    }
}

fn port(xml: &mut Writer, service: &str, operations: &[(&str, &str, &str)]) {
    xml.element("wsdl:portType", &[("name", &format!("{service}Port"))], |xml| {
        for (name, ..) in operations {
            xml.element("wsdl:operation", &[("name", name)], |xml| {
                for way in ["Input", "Output"] {
                    let tag = format!("wsdl:{}", way.to_lowercase());
                    let of = format!("wd-wsdl:{name}{way}Msg");
                    xml.element(&tag, &[("name", &format!("{name}{way}")), ("message", &of)], |_| {});
                }
                for fault in FAULTS {
                    xml.element("wsdl:fault", &[("name", fault), ("message", &format!("wd-wsdl:{fault}Msg"))], |_| {});
                }
            });
        }
    });
}

fn binding(xml: &mut Writer, service: &str, operations: &[(&str, &str, &str)]) {
    let attributes = [("name", &*format!("{service}Binding")), ("type", &*format!("wd-wsdl:{service}Port"))];
    let header = [("message", "wd-wsdl:Workday_Common_HeaderMsg"), ("part", "header"), ("use", "literal")];
    xml.element("wsdl:binding", &attributes, |xml| {
        let transport = "http://schemas.xmlsoap.org/soap/http";
        xml.element("soapbind:binding", &[("style", "document"), ("transport", transport)], |_| {});
        for (name, ..) in operations {
            xml.element("wsdl:operation", &[("name", name)], |xml| {
                xml.element("soapbind:operation", &[("style", "document")], |_| {});
                xml.element("wsdl:input", &[("name", &format!("{name}Input"))], |xml| {
                    xml.element("soapbind:body", &[("use", "literal")], |_| {});
                    xml.element("soapbind:header", &header, |_| {});
                });
                xml.element("wsdl:output", &[("name", &format!("{name}Output"))], |xml| {
                    xml.element("soapbind:body", &[("use", "literal")], |_| {});
                });
                for fault in FAULTS {
                    xml.element("wsdl:fault", &[("name", fault)], |xml| {
                        xml.element("soapbind:fault", &[("name", fault), ("use", "literal")], |_| {});
                    });
                }
            });
        }
    });
}
