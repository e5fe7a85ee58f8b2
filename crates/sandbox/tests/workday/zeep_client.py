"""zeep against the sandbox: every page, changes, the log, faults. One argument: the credentials as JSON."""

import json
import sys

from zeep import Client
from zeep.exceptions import Fault
from zeep.wsse.username import UsernameToken

c = json.loads(sys.argv[1])


def client(username=c["username"], password=c["password"], wsdl=c["wsdl"]):
    return Client(wsdl, wsse=UsernameToken(username, password))


hr = client()
header = hr.get_element("{urn:com.workday/bsvc}Workday_Common_Header")(Include_Reference_Descriptors_In_Response=False)


def workers(criteria=None, filter=None, group=None, **more):
    return hr.service.Get_Workers(Request_Criteria=criteria, Response_Filter=filter, Response_Group=group, version="v44.2", **more)


def reference(number, kind="Employee_ID"):
    return {"ID": [{"_value_1": str(number), "type": kind}]}


# Every page, each worker once.
seen, page, pages = [], 1, 1
while page <= pages:
    answer = workers({"Exclude_Inactive_Workers": False}, {"Page": page, "Count": 400}, {"Include_Reference": True})
    results = answer.Response_Results
    pages = int(results.Total_Pages)
    assert int(results.Page_Results) == len(answer.Response_Data.Worker)
    seen += [[i._value_1 for i in w.Worker_Reference.ID if i.type == "WID"][0] for w in answer.Response_Data.Worker]
    page += 1
assert len(seen) == int(results.Total_Results) == len(set(seen)) == 1248, (len(seen), results)
assert all(len(wid) == 32 for wid in seen)

# Who left is left out by default; two are hired in the future.
active = int(workers(filter={"Count": 1}).Response_Results.Total_Results)
assert active < 1248
ahead = int(workers({"Exclude_Inactive_Workers": False}, {"Count": 1, "As_Of_Effective_Date": "2199-01-01"}).Response_Results.Total_Results)
assert ahead == 1250, ahead

# Groups that are not asked for are absent, descriptors too when the header says so.
one = hr.service.Get_Workers(
    Request_References={"Worker_Reference": [reference(21001)]},
    Response_Group={"Include_Personal_Information": True},
    version="v44.2",
    _soapheaders=[header],
).Response_Data.Worker[0]
assert one.Worker_Reference is None and one.Worker_Data.Employment_Data is None
assert one.Worker_Data.Personal_Data.Name_Data.Legal_Name_Data.Name_Detail_Data.Country_Reference.Descriptor is None
assert one.Worker_Data.Personal_Data.Birth_Date is not None
mail = one.Worker_Data.Personal_Data.Contact_Data.Email_Address_Data[0]
assert mail.Email_Address.endswith("@northwind.example")
assert mail.Usage_Data[0].Type_Data[0].Primary is True

# A domain that is not granted is absent without a word, and a change is refused.
limited = client(c["limited"]["username"], c["limited"]["password"])
poor = limited.service.Get_Workers(
    Request_References={"Worker_Reference": [reference(21001)]},
    Response_Group={"Include_Personal_Information": True, "Include_Compensation": True},
).Response_Data.Worker[0]
assert poor.Worker_Data.Personal_Data.Birth_Date is None and poor.Worker_Data.Compensation_Data is None


def change_title(service, number, title, auto=True, comment=None):
    return service.Change_Business_Title(
        Business_Process_Parameters={"Auto_Complete": auto, "Comment_Data": {"Comment": comment} if comment else None},
        Change_Business_Title_Business_Process_Data={
            "Worker_Reference": reference(number),
            "Change_Business_Title_Data": {"Event_Effective_Date": hr_today, "Proposed_Business_Title": title},
        },
        version="v44.2",
    )


def fault(call, code, words):
    try:
        call()
    except Fault as problem:
        assert problem.code.endswith(code), problem.code
        assert words in problem.message, problem.message
        return problem
    raise AssertionError(f"no fault {code}")


stamp = hr.service.Get_Server_Timestamp(version="v44.2").Server_Timestamp_Data[0]
hr_today = stamp.date()
fault(lambda: change_title(limited.service, 21010, "X"), "processingError", "not authorized")
event = change_title(hr.service, 21001, "Chief Everything Officer").Business_Title_Change_Event_Reference
assert event.ID[0].type == "WID" and len(event.ID[0]._value_1) == 32, event
titled = hr.service.Get_Workers(
    Request_References={"Worker_Reference": [reference(21001)]}, Response_Group={"Include_Employment_Information": True}
).Response_Data.Worker[0]
primary = [j for j in titled.Worker_Data.Employment_Data.Worker_Job_Data if j.Primary_Job][0]
assert primary.Position_Data.Business_Title == "Chief Everything Officer"

# The change is in the log between then and now, and nowhere else.
now = hr.service.Get_Server_Timestamp(version="v44.2").Server_Timestamp_Data[0]


def log(start, end, kind=None):
    data = {"Transaction_Date_Range_Data": {"Updated_From": start, "Updated_Through": end}}
    if kind:
        data["Transaction_Type_References"] = {"Transaction_Type_Reference": [reference(kind, "Business_Process_Type")]}
    return workers({"Transaction_Log_Criteria_Data": [data]}, None, {"Include_Reference": True, "Include_Transaction_Log_Data": True})


changed = log(stamp, now)
assert [w.Worker_Descriptor for w in changed.Response_Data.Worker] == [titled.Worker_Descriptor]
entry = changed.Response_Data.Worker[0].Worker_Data.Transaction_Log_Entry_Data.Transaction_Log_Entry[0].Transaction_Log_Data
assert "Title Change" in entry.Transaction_Log_Description and stamp <= entry.Transaction_Entry_Moment <= now
nothing = log(stamp, now, "Hire Employee")
assert nothing.Response_Data is None and int(nothing.Response_Results.Total_Results) == 0

# Faults.
fault(lambda: client(password="wrong").service.Get_Workers(), "authenticationError", "invalid username or password")
fault(lambda: client(username="isu").service.Get_Workers(), "authenticationError", "invalid username or password")
bad = fault(lambda: change_title(hr.service, "nobody", "X"), "validationError", "'nobody' is not a valid ID value for type = 'Employee_ID'")
assert bad.detail.find(".//{urn:com.workday/bsvc}Detail_Message").text
assert bad.detail.find(".//{urn:com.workday/bsvc}Xpath").text.startswith("/wd:Change_Business_Title_Request")
fault(lambda: workers(filter={"Count": 1000}), "validationError", "Count")
fault(lambda: log(stamp, now.replace(year=now.year + 1)), "validationError", "future")

# Contact: rows replace all of their kind unless they say not to.
def contact(rows):
    hr.service.Change_Work_Contact_Information(
        Business_Process_Parameters={"Auto_Complete": True},
        Change_Work_Contact_Information_Data={
            "Person_Reference": reference(21002),
            "Event_Effective_Date": hr_today,
            "Contact_Information_Data": {"Email_Address_Data": rows},
        },
    )
    person = hr.service.Get_Workers(Request_References={"Worker_Reference": [reference(21002)]}).Response_Data.Worker[0]
    return [e.Email_Address for e in person.Worker_Data.Personal_Data.Contact_Data.Email_Address_Data]


kind = {"Type_Data": [{"Type_Reference": reference("WORK", "Communication_Usage_Type_ID"), "Primary": False}]}
assert len(contact([{"Email_Address": "second@northwind.example", "Usage_Data": [kind], "Do_Not_Replace_All": True}])) == 2
assert contact([{"Email_Address": "only@northwind.example", "Usage_Data": [kind]}]) == ["only@northwind.example"]

organizations = hr.service.Get_Organizations(Response_Group={"Include_Hierarchy_Data": True, "Include_Roles_Data": True}, Response_Filter={"Count": 999})
assert {"Engineering", "Northwind Instruments"} <= {o.Organization_Data.Name for o in organizations.Response_Data.Organization}

# Staffing: hired for later, invisible today, then rescinded by nobody but ended at once.
staffing = client(wsdl=c["wsdl"].replace("Human_Resources", "Staffing"))
hired = staffing.service.Hire_Employee(
    Business_Process_Parameters={"Auto_Complete": True},
    Hire_Employee_Data={
        "Applicant_Data": {"Personal_Data": {"Name_Data": {"Legal_Name_Data": {"Name_Detail_Data": {"First_Name": "Zo", "Last_Name": "Later"}}}}},
        "Organization_Reference": reference("SUP_ENG", "Organization_Reference_ID"),
        "Position_Reference": reference("P-00001", "Position_ID"),
        "Hire_Date": hr_today.replace(year=hr_today.year + 1, day=1),
        "Hire_Employee_Event_Data": {"Employee_ID": "77001", "Position_Details": {"Business_Title": "Welder"}},
        "Propose_Compensation_for_Hire_Sub_Process": {
            "Propose_Compensation_for_Hire_Data": {
                "Pay_Plan_Data": {
                    "Pay_Plan_Sub_Data": [
                        {
                            "Pay_Plan_Reference": reference("SALARY_Salary_Plan", "Compensation_Plan_ID"),
                            "Amount": "90000.5",
                            "Currency_Reference": reference("EUR", "Currency_ID"),
                            "Frequency_Reference": reference("Annual", "Frequency_ID"),
                        }
                    ]
                }
            }
        },
    },
)
assert [i._value_1 for i in hired.Employee_Reference.ID if i.type == "Employee_ID"] == ["77001"]
by_id = {"Worker_Reference": [reference(77001)]}
assert hr.service.Get_Workers(Request_References=by_id).Response_Data is None
later = hr.service.Get_Workers(
    Request_References=by_id,
    Response_Filter={"As_Of_Effective_Date": hr_today.replace(year=hr_today.year + 2, day=1)},
    Response_Group={"Include_Employment_Information": True, "Include_Compensation": True},
).Response_Data.Worker[0]
assert later.Worker_Descriptor == "Zo Later"
assert later.Worker_Data.Employment_Data.Worker_Job_Data[0].Position_Data.Position_ID == "P-00001"
pay = later.Worker_Data.Compensation_Data.Employee_Compensation_Summary_Data.Annualized_Summary_Data.Total_Base_Pay
assert float(pay) == 90000.5, pay

# Personal information: what is not named stays.
hr.service.Change_Personal_Information(
    Business_Process_Parameters={"Auto_Complete": True},
    Change_Personal_Information_Data={
        "Person_Reference": reference(21003),
        "Personal_Information_Data": {"Gender_Reference": reference("Female", "Gender_Code"), "City_of_Birth": "Bonn & Bad Godesberg"},
    },
    version="v44.2",
)
person = hr.service.Get_Workers(
    Request_References={"Worker_Reference": [reference(21003)]},
    Response_Group={"Include_Personal_Information": True, "Include_Worker_Documents": True},
).Response_Data.Worker[0].Worker_Data
assert person.Personal_Data.City_of_Birth == "Bonn & Bad Godesberg" and person.Personal_Data.Birth_Date is not None
assert [i._value_1 for i in person.Personal_Data.Gender_Reference.ID if i.type == "Gender_Code"] == ["Female"]
assert person.Worker_Document_Data is None
# Photos, reference ids, and an integration that is launched and looked at.
hr.service.Put_Worker_Photo(Worker_Reference=reference(21001), Worker_Photo_Data={"Filename": "me.png", "File": b"\x89PNG & more"}, version="v44.2")
photo = hr.service.Get_Worker_Photos(Request_References={"Worker_Reference": [reference(21001)]}, version="v44.2")
assert photo.Response_Data.Worker_Photo[0].Worker_Photo_Data.File == b"\x89PNG & more", photo
integrations = client(wsdl=c["service_endpoint"] + "/Integrations/v44.2?wsdl")
places = integrations.service.Get_References(Request_Criteria={"Reference_ID_Type": "Location_ID"}, Response_Filter={"Count": 2}, version="v44.2")
assert len(places.Response_Data.Reference_ID) == 2 and places.Response_Data.Reference_ID[0].Reference_ID_Data.Reference_ID_Type == "Location_ID", places
system = {"ID": [{"_value_1": "INT001_Journal_Load", "type": "Integration_System_ID"}]}
run = integrations.service.Launch_EIB(Integration_System_Reference=system, version="v44.2")
event = [i._value_1 for i in run.Integration_Event.Integration_Event_Reference.ID if i.type == "WID"][0]
asked = {"Integration_Event_Reference": [{"ID": [{"_value_1": event, "type": "WID"}]}]}
told = integrations.service.Get_Integration_Events(Request_References=asked, version="v44.2").Response_Data.Integration_Event
assert len(told) == 1 and told[0].Integration_Event_Data.Completed_DateTime is not None, told

print("ok")
