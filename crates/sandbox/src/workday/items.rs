//! What workers and processes refer to: organisations, places, profiles, reasons and other picklists.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::wid;

/// The sort of a thing, which decides the type of its reference id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Supervisory,
    Company,
    CostCenter,
    Region,
    OrganizationType,
    Location,
    JobProfile,
    JobChangeReason,
    TerminationReason,
    HireReason,
    EmployeeType,
    ContingentType,
    TimeType,
    Country,
    Currency,
    Process,
    EventStatus,
    StepType,
    TimeOffType,
    AbsencePlan,
    AbsenceStatus,
    LeaveType,
    Unit,
    ExpenseItem,
    PaymentPlan,
    PayComponent,
    UsageType,
    DeviceType,
    ManagementLevel,
    IntegrationSystem,
    /// Positions that were opened for somebody to come; all others belong to who holds them.
    Position,
    PayPlan,
    Frequency,
    Gender,
    MaritalStatus,
    DocumentCategory,
}

impl Kind {
    /// The type of its reference id, as `wd:type` and in `Type=value`.
    pub(super) fn id_type(self) -> &'static str {
        match self {
            Self::Supervisory => "Organization_Reference_ID",
            Self::Company => "Company_Reference_ID",
            Self::CostCenter => "Cost_Center_Reference_ID",
            Self::Region => "Region_Reference_ID",
            Self::OrganizationType => "Organization_Type_ID",
            Self::Location => "Location_ID",
            Self::JobProfile => "Job_Profile_ID",
            Self::JobChangeReason => "Change_Job_Subcategory_ID",
            Self::TerminationReason => "Termination_Subcategory_ID",
            Self::HireReason => "General_Event_Subcategory_ID",
            Self::EmployeeType => "Employee_Type_ID",
            Self::ContingentType => "Contingent_Worker_Type_ID",
            Self::TimeType => "Position_Time_Type_ID",
            Self::Country => "ISO_3166-1_Alpha-2_Code",
            Self::Currency => "Currency_ID",
            Self::Process => "Business_Process_Type",
            Self::EventStatus => "Event_Status_ID",
            Self::StepType => "Step_Type_ID",
            Self::TimeOffType => "Time_Off_Code",
            Self::AbsencePlan => "Absence_Plan_ID",
            Self::AbsenceStatus => "Absence_Status_ID",
            Self::LeaveType => "Leave_of_Absence_Type_ID",
            Self::Unit => "Unit_of_Time_ID",
            Self::ExpenseItem => "Expense_Item_ID",
            Self::PaymentPlan => "One-Time_Payment_Plan_ID",
            Self::PayComponent => "Pay_Component_ID",
            Self::UsageType => "Communication_Usage_Type_ID",
            Self::DeviceType => "Phone_Device_Type_ID",
            Self::ManagementLevel => "Management_Level_ID",
            Self::IntegrationSystem => "Integration_System_ID",
            Self::Position => "Position_ID",
            Self::PayPlan => "Compensation_Plan_ID",
            Self::Frequency => "Frequency_ID",
            Self::Gender => "Gender_Code",
            Self::MaritalStatus => "Marital_Status_ID",
            Self::DocumentCategory => "Document_Category_ID",
        }
    }

    /// True for what `Get_Organizations` and `/organizations` list.
    pub(super) fn is_organization(self) -> bool {
        matches!(self, Self::Supervisory | Self::Company | Self::CostCenter | Self::Region)
    }

    /// The name of its organisation type.
    pub(super) fn organization_type(self) -> &'static str {
        match self {
            Self::Company => "Company",
            Self::CostCenter => "Cost_Center",
            Self::Region => "Region",
            _ => "Supervisory",
        }
    }
}

/// One thing that is referred to.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) kind: Kind,
    pub(super) wid: String,
    pub(super) id: String,
    pub(super) name: String,
    /// A short code, for organisations.
    pub(super) code: String,
    /// The place of the organisation above, or of the plan of a type.
    pub(super) parent: Option<usize>,
    /// The employee number of who leads it.
    pub(super) manager: Option<String>,
    /// When it was last changed.
    pub(super) changed: Timestamp,
}

impl Item {
    /// Its ids, the WID first.
    pub(super) fn ids(&self) -> Vec<(&'static str, &str)> {
        let mut ids = vec![("WID", self.wid.as_str())];
        if self.kind.is_organization() && self.kind != Kind::Supervisory {
            ids.push(("Organization_Reference_ID", &self.id));
        }
        ids.push((self.kind.id_type(), &self.id));
        ids
    }

    /// A reference as REST and WQL write it.
    pub(super) fn json(&self) -> Json {
        json!({ "id": self.wid, "descriptor": self.name })
    }
}

/// All of them, by place, and by WID and `Type=value`.
#[derive(Debug, Default)]
pub(super) struct Items {
    all: Vec<Item>,
    by: HashMap<String, usize>,
}

impl Items {
    pub(super) fn add(&mut self, seed: u64, kind: Kind, id: &str, name: &str, changed: Timestamp) -> usize {
        let place = self.all.len();
        let wid = wid(seed, &format!("{kind:?} {id}"));
        let item = Item {
            kind,
            wid,
            id: id.to_owned(),
            name: name.to_owned(),
            code: String::new(),
            parent: None,
            manager: None,
            changed,
        };
        for (id_type, id) in item.ids() {
            let key = if id_type == "WID" { id.to_owned() } else { format!("{id_type}={id}") };
            self.by.insert(key, place);
        }
        self.all.push(item);
        place
    }

    pub(super) fn get(&self, place: usize) -> &Item {
        &self.all[place]
    }

    pub(super) fn get_mut(&mut self, place: usize) -> &mut Item {
        &mut self.all[place]
    }

    /// By WID, or by `Type=value`.
    pub(super) fn find(&self, key: &str) -> Option<usize> {
        self.by.get(key).copied()
    }

    /// By the type and value of one id.
    pub(super) fn find_id(&self, id_type: &str, id: &str) -> Option<usize> {
        if id_type == "WID" { self.find(id) } else { self.find(&format!("{id_type}={id}")) }
    }

    /// By kind and reference id.
    pub(super) fn known(&self, kind: Kind, id: &str) -> Option<usize> {
        self.find_id(kind.id_type(), id).filter(|place| self.all[*place].kind == kind)
    }

    /// All of a kind with their places, in the order they were made.
    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = (usize, &Item)> {
        self.all.iter().enumerate().filter(move |(_, item)| item.kind == kind)
    }

    /// All with their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Item)> {
        self.all.iter().enumerate()
    }

    /// True when the organisation is, or lies below, the other.
    pub(super) fn within(&self, mut place: usize, above: usize) -> bool {
        for _ in 0..self.all.len() {
            if place == above {
                return true;
            }
            match self.all[place].parent {
                Some(parent) => place = parent,
                None => return false,
            }
        }
        false
    }
}
