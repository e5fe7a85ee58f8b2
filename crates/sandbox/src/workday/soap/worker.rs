//! One worker in an answer, group by group.

use super::{
    Ask, moment,
    workers::{Filter, Range},
};
use crate::{
    workday::{
        items::Kind,
        people::{Channel, Line, Personal, View},
        state::State,
    },
    xml::{Element, Writer},
};

/// The groups of an answer.
pub(super) struct Groups {
    reference: bool,
    personal: bool,
    employment: bool,
    compensation: bool,
    organizations: bool,
    roles: bool,
    chain: bool,
    log: bool,
    account: bool,
    additional_jobs: bool,
    documents: bool,
    subevents: bool,
    excluded: Vec<Kind>,
}

impl Groups {
    /// Reads `Response_Group`; when it says nothing, a default set is given (unverified which).
    pub(super) fn read(given: Option<&Element>) -> Self {
        let said = |name: &str| super::flag(given, name).unwrap_or(false);
        let silent = given.is_none_or(|given| given.children.is_empty());
        let excluded = [
            (Kind::CostCenter, "Exclude_Cost_Centers"),
            (Kind::Company, "Exclude_Companies"),
            (Kind::Region, "Exclude_Regions"),
            (Kind::Supervisory, "Exclude_Supervisory_Organizations"),
        ];
        Self {
            reference: silent || said("Include_Reference"),
            personal: silent || said("Include_Personal_Information"),
            employment: silent || said("Include_Employment_Information"),
            compensation: said("Include_Compensation"),
            organizations: silent || said("Include_Organizations"),
            roles: said("Include_Roles"),
            chain: said("Include_Management_Chain_Data"),
            log: said("Include_Transaction_Log_Data"),
            account: said("Include_User_Account"),
            additional_jobs: said("Include_Additional_Jobs"),
            documents: said("Include_Worker_Documents"),
            subevents: said("Include_Subevents_for_Corrected_Transaction") || said("Include_Subevents_for_Rescinded_Transaction"),
            excluded: excluded.iter().filter(|(_, name)| said(name)).map(|(kind, _)| *kind).collect(),
        }
    }
}

/// All organisations a worker belongs to: supervisory, company, cost center, region.
pub(in crate::workday) fn memberships(state: &State, view: &View<'_>) -> Vec<usize> {
    let code = &state.item(view.organization).code;
    let region = format!("REG_{}", state.item(view.location).code);
    let others = [
        state.items.known(Kind::Company, "CO_NORTHWIND"),
        state.items.known(Kind::CostCenter, &format!("CC_{code}")),
        state.items.known(Kind::Region, &region),
    ];
    std::iter::once(view.organization).chain(others.into_iter().flatten()).collect()
}

/// What is needed to write a worker.
pub(super) struct One<'a> {
    pub(super) state: &'a State,
    pub(super) ask: &'a Ask<'a>,
    pub(super) filter: &'a Filter,
    pub(super) groups: &'a Groups,
    pub(super) ranges: &'a [Range],
}

impl One<'_> {
    pub(super) fn write(&self, xml: &mut Writer, place: usize) {
        let Some(view) = self.state.workers[place].view(self.filter.day, self.filter.known) else { return };
        xml.element("wd:Worker", &[], |xml| {
            if self.groups.reference {
                self.ask.worker(xml, "wd:Worker_Reference", self.state, place);
            }
            xml.text("wd:Worker_Descriptor", &[], &view.name());
            xml.element("wd:Worker_Data", &[], |xml| self.data(xml, &view));
        });
    }

    fn data(&self, xml: &mut Writer, view: &View<'_>) {
        let (groups, rights) = (self.groups, self.ask.who.rights);
        xml.text("wd:Worker_ID", &[], &view.worker.number);
        xml.maybe("wd:User_ID", view.user_name);
        // What a domain does not grant is absent, without a word.
        if groups.personal {
            xml.element("wd:Personal_Data", &[], |xml| self.personal(xml, view, rights.personal));
        }
        if groups.employment {
            xml.element("wd:Employment_Data", &[], |xml| self.employment(xml, view));
        }
        if groups.compensation && rights.compensation {
            self.compensation(xml, view);
        }
        if groups.organizations {
            self.organizations(xml, view);
        }
        if groups.roles {
            self.roles(xml, view);
        }
        if groups.chain {
            self.chain(xml, view);
        }
        if let (true, Some(name)) = (groups.account, view.user_name) {
            xml.element("wd:User_Account_Data", &[], |xml| {
                xml.text("wd:User_Name", &[], name);
                xml.text("wd:Account_Disabled", &[], if view.active(self.filter.day) { "0" } else { "1" });
            });
        }
        if groups.documents && rights.personal {
            self.documents(xml, view);
        }
        if groups.log {
            self.log(xml, view);
        }
    }

    fn personal(&self, xml: &mut Writer, view: &View<'_>, private: bool) {
        let country = self.country(view);
        let name = view.name();
        let reporting = format!("{}, {}", view.last, view.first);
        xml.element("wd:Name_Data", &[], |xml| {
            for kind in ["wd:Legal_Name_Data", "wd:Preferred_Name_Data"] {
                xml.element(kind, &[], |xml| {
                    let attributes = [("wd:Formatted_Name", name.as_str()), ("wd:Reporting_Name", reporting.as_str())];
                    xml.element("wd:Name_Detail_Data", &attributes, |xml| {
                        if let Some(country) = country {
                            self.ask.item(xml, "wd:Country_Reference", self.state.item(country));
                        }
                        xml.text("wd:First_Name", &[], view.first);
                        xml.text("wd:Last_Name", &[], view.last);
                    });
                });
            }
        });
        if private {
            self.private(xml, &view.personal);
        }
        let shown = |channel: &&Channel| private || !channel.home;
        xml.element("wd:Contact_Data", &[], |xml| {
            for phone in view.contact.phones.iter().filter(shown) {
                xml.element("wd:Phone_Data", &[("wd:E164_Formatted_Phone", &phone.value)], |xml| {
                    xml.text("wd:Phone_Number", &[], &phone.value);
                    self.usage(xml, phone);
                });
            }
            for email in view.contact.emails.iter().filter(shown) {
                xml.element("wd:Email_Address_Data", &[], |xml| {
                    xml.text("wd:Email_Address", &[], &email.value);
                    self.usage(xml, email);
                });
            }
        });
    }

    /// What a domain of its own guards.
    fn private(&self, xml: &mut Writer, known: &Personal) {
        let item = |xml: &mut Writer, tag: &str, place: Option<usize>| {
            if let Some(place) = place {
                self.ask.item(xml, tag, self.state.item(place));
            }
        };
        item(xml, "wd:Gender_Reference", known.gender);
        xml.maybe("wd:Birth_Date", known.birth.map(|day| self.ask.day(day)).as_deref());
        item(xml, "wd:Country_of_Birth_Reference", known.birth_country);
        xml.maybe("wd:City_of_Birth", known.birth_city.as_deref());
        item(xml, "wd:Marital_Status_Reference", known.marital);
        xml.maybe("wd:Marital_Status_Date", known.marital_since.map(|day| self.ask.day(day)).as_deref());
        item(xml, "wd:Primary_Nationality_Reference", known.nationality);
    }

    fn documents(&self, xml: &mut Writer, view: &View<'_>) {
        let papers: Vec<_> =
            self.state.papers.iter().filter(|paper| self.state.workers[paper.worker].wid == view.worker.wid).collect();
        if papers.is_empty() {
            return;
        }
        xml.element("wd:Worker_Document_Data", &[], |xml| {
            for paper in papers {
                xml.element("wd:Worker_Document", &[], |xml| {
                    let ids = [("WID", paper.wid.as_str())];
                    self.ask.reference(xml, "wd:Worker_Document_Reference", &paper.name, &ids);
                    xml.element("wd:Worker_Document_Detail_Data", &[], |xml| {
                        self.ask.item(xml, "wd:Document_Category_Reference", self.state.item(paper.category));
                        xml.text("wd:Filename", &[], &paper.name);
                        xml.maybe("wd:Comment", Some(paper.comment.as_str()).filter(|comment| !comment.is_empty()));
                        xml.text("wd:File", &[], &paper.file);
                    });
                });
            }
        });
    }

    fn country(&self, view: &View<'_>) -> Option<usize> {
        self.state.items.known(Kind::Country, &self.state.item(view.location).code)
    }

    fn usage(&self, xml: &mut Writer, channel: &Channel) {
        let kind = self.state.items.known(Kind::UsageType, if channel.home { "HOME" } else { "WORK" });
        xml.element("wd:Usage_Data", &[("wd:Public", if channel.home { "0" } else { "1" })], |xml| {
            xml.element("wd:Type_Data", &[("wd:Primary", if channel.primary { "1" } else { "0" })], |xml| {
                if let Some(kind) = kind {
                    self.ask.item(xml, "wd:Type_Reference", self.state.item(kind));
                }
            });
        });
    }

    fn employment(&self, xml: &mut Writer, view: &View<'_>) {
        if let (true, Some((title, _))) = (self.groups.additional_jobs, view.second_job) {
            // Not the first place belongs to the primary job, but its mark does.
            xml.element("wd:Worker_Job_Data", &[("wd:Primary_Job", "0")], |xml| {
                xml.element("wd:Position_Data", &[], |xml| {
                    xml.text("wd:Position_ID", &[], &format!("P-{}-2", view.worker.number));
                    xml.text("wd:Position_Title", &[], title);
                    xml.text("wd:Business_Title", &[], title);
                });
            });
        }
        xml.element("wd:Worker_Job_Data", &[("wd:Primary_Job", "1")], |xml| {
            let since = self.ask.day(view.since);
            xml.element("wd:Position_Data", &[("wd:Effective_Date", &since)], |xml| self.position(xml, view));
        });
        xml.element("wd:Worker_Status_Data", &[], |xml| self.status(xml, view));
    }

    fn position(&self, xml: &mut Writer, view: &View<'_>) {
        let (state, ask) = (self.state, self.ask);
        let (wid, id) = state.position_of(view);
        let title = format!("{id} {}", view.job_title);
        ask.reference(xml, "wd:Position_Reference", &title, &[("WID", wid), ("Position_ID", &id)]);
        xml.text("wd:Position_ID", &[], &id);
        xml.text("wd:Position_Title", &[], view.job_title);
        xml.text("wd:Business_Title", &[], view.title);
        xml.text("wd:Start_Date", &[], &ask.day(view.hired));
        xml.maybe("wd:End_Employment_Date", view.left.map(|(left, ..)| ask.day(left)).as_deref());
        ask.item(xml, "wd:Worker_Type_Reference", state.item(view.worker_type));
        ask.item(xml, "wd:Position_Time_Type_Reference", state.item(view.time_type));
        xml.text("wd:Scheduled_Weekly_Hours", &[], "40");
        xml.text("wd:Full_Time_Equivalent_Percentage", &[], "100");
        let leads = !state.led_by(view.worker).is_empty();
        let level = state.items.known(Kind::ManagementLevel, if leads { "Manager" } else { "Individual_Contributor" });
        xml.element("wd:Job_Profile_Summary_Data", &[], |xml| {
            ask.item(xml, "wd:Job_Profile_Reference", state.item(view.profile));
            if let Some(level) = level {
                ask.item(xml, "wd:Management_Level_Reference", state.item(level));
            }
            xml.text("wd:Job_Profile_Name", &[], &state.item(view.profile).name);
        });
        xml.element("wd:Business_Site_Summary_Data", &[], |xml| {
            ask.item(xml, "wd:Location_Reference", state.item(view.location));
            xml.text("wd:Name", &[], &state.item(view.location).name);
        });
        if let Some(manager) = state.manager_place(view) {
            ask.worker(xml, "wd:Manager_as_of_last_detected_manager_change_Reference", state, manager);
        }
    }

    fn status(&self, xml: &mut Writer, view: &View<'_>) {
        let (ask, today) = (self.ask, self.filter.day);
        let bit = |yes: bool| if yes { "1" } else { "0" };
        let active = view.active(today);
        xml.text("wd:Active", &[], bit(active));
        let status_day = view.left.filter(|_| !active).map_or(view.hired, |(left, ..)| left);
        xml.text("wd:Active_Status_Date", &[], &ask.day(status_day));
        xml.text("wd:Hire_Date", &[], &ask.day(view.hired));
        xml.text("wd:Original_Hire_Date", &[], &ask.day(view.original_hire));
        xml.maybe("wd:End_Employment_Date", view.left.map(|(left, ..)| ask.day(left)).as_deref());
        xml.text("wd:Continuous_Service_Date", &[], &ask.day(view.hired));
        xml.text("wd:First_Day_of_Work", &[], &ask.day(view.hired));
        xml.text("wd:Terminated", &[], bit(view.left.is_some() && !active));
        if let Some((left, reason, involuntary)) = view.left {
            xml.text("wd:Termination_Date", &[], &ask.day(left));
            ask.item(xml, "wd:Primary_Termination_Reason_Reference", self.state.item(reason));
            xml.text("wd:Termination_Involuntary", &[], bit(involuntary));
            xml.text("wd:Hire_Rescinded", &[], "0");
            xml.text("wd:Termination_Last_Day_of_Work", &[], &ask.day(left));
        } else {
            xml.text("wd:Hire_Rescinded", &[], "0");
        }
        xml.text("wd:Rehire", &[], bit(view.hired != view.original_hire));
        if let Some((from, until)) = view.leave {
            xml.element("wd:Leave_Status_Data", &[], |xml| {
                xml.text("wd:On_Leave", &[], bit(view.on_leave(today)));
                xml.text("wd:Leave_Start_Date", &[], &ask.day(from));
                xml.maybe("wd:Leave_End_Date", until.map(|until| ask.day(until)).as_deref());
            });
        }
    }

    fn compensation(&self, xml: &mut Writer, view: &View<'_>) {
        let amount = format!("{}.{:02}", view.pay / 100, view.pay % 100);
        xml.element("wd:Compensation_Data", &[], |xml| {
            xml.element("wd:Employee_Compensation_Summary_Data", &[], |xml| {
                xml.element("wd:Annualized_Summary_Data", &[], |xml| {
                    xml.text("wd:Total_Base_Pay", &[], &amount);
                    if let Some(currency) = self.state.items.known(Kind::Currency, "USD") {
                        self.ask.item(xml, "wd:Currency_Reference", self.state.item(currency));
                    }
                });
            });
        });
    }

    fn organizations(&self, xml: &mut Writer, view: &View<'_>) {
        let places = memberships(self.state, view);
        let wanted = places.iter().map(|place| self.state.item(*place)).filter(|item| !self.groups.excluded.contains(&item.kind));
        xml.element("wd:Organization_Data", &[], |xml| {
            for item in wanted {
                let of = self.state.items.known(Kind::OrganizationType, item.kind.organization_type());
                xml.element("wd:Worker_Organization_Data", &[], |xml| {
                    self.ask.item(xml, "wd:Organization_Reference", item);
                    xml.element("wd:Organization_Data", &[], |xml| {
                        xml.text("wd:Organization_Reference_ID", &[], &item.id);
                        xml.maybe("wd:Organization_Code", Some(item.code.as_str()).filter(|code| !code.is_empty()));
                        xml.text("wd:Organization_Name", &[], &item.name);
                        if let Some(of) = of {
                            self.ask.item(xml, "wd:Organization_Type_Reference", self.state.item(of));
                        }
                    });
                });
            }
        });
    }

    fn roles(&self, xml: &mut Writer, view: &View<'_>) {
        let led = self.state.led_by(view.worker);
        if led.is_empty() {
            return;
        }
        xml.element("wd:Role_Data", &[], |xml| {
            xml.element("wd:Organization_Role_Data", &[], |xml| {
                self.ask.reference(xml, "wd:Organization_Role_Reference", "Manager", &[("Organization_Role_ID", "Manager")]);
                xml.element("wd:Role_Organization_Data", &[], |xml| {
                    for place in led {
                        self.ask.item(xml, "wd:Organization_Reference", self.state.item(place));
                    }
                });
            });
        });
    }

    fn chain(&self, xml: &mut Writer, view: &View<'_>) {
        let mut above = Vec::new();
        let mut next = Some(view.organization);
        while let Some(place) = next {
            above.push(place);
            next = self.state.item(place).parent;
        }
        xml.element("wd:Management_Chain_Data", &[], |xml| {
            xml.element("wd:Worker_Supervisory_Management_Chain_Data", &[], |xml| {
                for item in above.iter().rev().map(|place| self.state.item(*place)) {
                    let manager = item.manager.as_ref().and_then(|number| self.state.worker_at(&format!("Employee_ID={number}")));
                    xml.element("wd:Management_Chain_Data", &[], |xml| {
                        self.ask.item(xml, "wd:Organization_Reference", item);
                        if let Some(manager) = manager {
                            self.ask.worker(xml, "wd:Manager_Reference", self.state, manager);
                        }
                    });
                }
            });
        });
    }

    /// The lines that the criteria ask for; all of them without criteria.
    fn log(&self, xml: &mut Writer, view: &View<'_>) {
        let known = view.worker.log.iter().filter(|line| line.entered <= self.filter.known);
        let wanted = |line: &&Line| self.ranges.is_empty() || self.ranges.iter().any(|range| range.holds(line, self.state));
        let name = view.name();
        xml.element("wd:Transaction_Log_Entry_Data", &[], |xml| {
            for line in known.filter(wanted) {
                xml.element("wd:Transaction_Log_Entry", &[], |xml| self.line(xml, line, &name));
            }
        });
    }

    fn line(&self, xml: &mut Writer, line: &Line, name: &str) {
        let bit = |yes: bool| if yes { "1" } else { "0" };
        let verb = if line.rescind {
            "Rescind: "
        } else if line.correction {
            "Correct: "
        } else {
            ""
        };
        let words = format!("{verb}{}: {name}", line.process.name());
        self.ask.reference(xml, "wd:Transaction_Log_Reference", &words, &[("WID", &line.wid)]);
        xml.element("wd:Transaction_Log_Data", &[], |xml| {
            xml.text("wd:Transaction_Log_Description", &[], &words);
            xml.text("wd:Transaction_Effective_Moment", &[], &self.state.midnight_text(line.effective));
            xml.text("wd:Transaction_Entry_Moment", &[], &moment(line.entered));
            if let Some(place) = self.state.items.known(Kind::Process, line.process.name()) {
                self.ask.item(xml, "wd:Transaction_Log_Type_Reference", self.state.item(place));
            }
            xml.text("wd:Is_Rescind_Or_Rescinded", &[], bit(line.rescind || line.undone));
            xml.text("wd:Is_Correction_Or_Corrected", &[], bit(line.correction));
        });
        if self.groups.subevents && (line.rescind || line.correction) {
            xml.element("wd:Transaction_Log_Corrected_And_Rescinded_Data", &[], |xml| {
                xml.element("wd:Correction_Or_Rescind_Data", &[], |xml| {
                    xml.text("wd:Is_Correction", &[], bit(line.correction));
                    xml.text("wd:Is_Rescind", &[], bit(line.rescind));
                    if let Some(prior) = line.prior {
                        xml.text("wd:Prior_Effective_Moment", &[], &self.state.midnight_text(prior));
                    }
                });
            });
        }
    }
}
