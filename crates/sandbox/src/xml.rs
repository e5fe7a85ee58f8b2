//! XML for the systems that speak it: a safe reader to a small tree, a writer, and SOAP 1.1 around both.
//!
//! The reader refuses document types, so there are no entities but the five of XML and numbered characters,
//! and it stops at limits of size, depth and number. Names are compared by namespace and local name; prefixes
//! are the sender's own business.

mod read;
pub mod soap;
mod write;

pub use self::{
    read::{BYTES_MAX, DEPTH_MAX, PARTS_MAX, read},
    write::{Attributes, Writer},
};

use std::sync::Arc;

/// The namespace of `xsi:type` and `xsi:nil`.
pub const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";
/// The namespace of the types of XML Schema.
pub const XSD: &str = "http://www.w3.org/2001/XMLSchema";

/// Why a text is no XML that is read here, with the place as a byte.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Problem(pub String);

/// An attribute; declarations of namespaces are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its namespace; empty without a prefix.
    pub namespace: Arc<str>,
    /// Its local name.
    pub name: String,
    /// Its value, unescaped.
    pub value: String,
}

/// An element.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Element {
    /// Its namespace; empty when it has none.
    pub namespace: Arc<str>,
    /// Its local name.
    pub name: String,
    /// Its attributes in the order written.
    pub attributes: Vec<Attribute>,
    /// Its child elements in the order written.
    pub children: Vec<Element>,
    /// Its own text, all pieces together, unescaped and untrimmed.
    pub text: String,
}

impl Element {
    /// True for that namespace and local name.
    #[must_use]
    pub fn is(&self, namespace: &str, name: &str) -> bool {
        self.name == name && &*self.namespace == namespace
    }

    /// The first child of that local name, whatever its namespace.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The children of that local name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// What lies at the end of a path of first children.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |element, name| element.child(name))
    }

    /// The trimmed text of the first child of that name; `None` when it is absent or empty.
    #[must_use]
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.trim()).filter(|text| !text.is_empty())
    }

    /// The value of the attribute of that local name, whatever its namespace.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|attribute| attribute.name == name).map(|attribute| attribute.value.as_str())
    }

    /// What `xsi:type` says, without its prefix.
    #[must_use]
    pub fn xsi_type(&self) -> Option<&str> {
        let found = self.attributes.iter().find(|attribute| attribute.name == "type" && &*attribute.namespace == XSI)?;
        Some(found.value.rsplit(':').next().unwrap_or_default())
    }

    /// True when `xsi:nil` says so.
    #[must_use]
    pub fn is_nil(&self) -> bool {
        let nil = self.attributes.iter().find(|attribute| attribute.name == "nil" && &*attribute.namespace == XSI);
        nil.is_some_and(|nil| matches!(nil.value.trim(), "true" | "1"))
    }
}
