"""simple-salesforce against the simulated org: four sign-ins, records, queries, bulk."""
import json
import os
import warnings
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import Salesforce, SFType
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceResourceNotFound,
)

warnings.simplefilter("ignore")
known = json.loads(os.environ["SF_CREDENTIALS"])
host = urlsplit(known["instance_url"]).netloc


class ToSandbox(HTTPAdapter):
    """The client speaks https alone; this sends its calls to the plain address, and keeps the host it meant."""

    def send(self, request, **options):
        parts = urlsplit(request.url)
        request.headers["Host"] = parts.netloc
        request.url = parts._replace(scheme="http", netloc=host).geturl()
        return super().send(request, **options)


def session():
    one = requests.Session()
    one.trust_env = False
    one.mount("https://", ToSandbox())
    return one


def refused(error, call):
    try:
        call()
    except error as raised:
        return raised
    raise AssertionError(f"{error.__name__} was expected")


password = dict(username=known["username"], password=known["password"])
app = dict(consumer_key=known["client_id"], consumer_secret=known["client_secret"])
by_soap = Salesforce(**password, security_token=known["security_token"], session=session(), version="62.0")
by_password = Salesforce(**password, **app, session=session(), version="62.0")
by_app = Salesforce(**app, domain="acme.my", session=session(), version="62.0")
by_key = Salesforce(username=known["username"], consumer_key=known["client_id"], privatekey=os.environ["SF_JWT_KEY"], session=session(), version="62.0")
for one in (by_soap, by_password, by_app, by_key):
    assert one.query("SELECT COUNT() FROM Account")["totalSize"] > 0
wrong = dict(username=known["username"], password="no", security_token="")
assert refused(SalesforceAuthenticationFailed, lambda: Salesforce(**wrong, session=session())).code == "INVALID_LOGIN"

sf = by_app
made = sf.Account.create({"Name": "Quoted 'name'", "Ext__c": "k/1"})
assert made["success"] and made["errors"] == []
assert sf.Account.get(made["id"])["Name"] == "Quoted 'name'"
assert sf.Account.get_by_custom_id("Ext__c", "k/1")["Id"] == made["id"]
assert sf.Account.update(made["id"], {"Site": "North"}) == 204
assert sf.Account.upsert("External_Id__c/py-1", {"Name": "Py"}) == 201
assert sf.Account.upsert("External_Id__c/py-1", {"Name": "Py 2"}) == 200
sf.Account.create({"Name": "Twin", "Ext__c": "k/1"})
refused(SalesforceMoreThanOneRecord, lambda: sf.Account.get_by_custom_id("Ext__c", "k/1"))
refused(SalesforceResourceNotFound, lambda: sf.Account.get_by_custom_id("Ext__c", "nobody"))
refused(SalesforceMalformedRequest, lambda: sf.Account.create({"Nope": 1}))
refused(SalesforceMalformedRequest, lambda: sf.query("SELECT Nope FROM Account"))
fields = {field["name"] for field in sf.Account.describe()["fields"]}
assert {"Id", "Name", "SystemModstamp", "External_Id__c"} <= fields
assert any(one["name"] == "Invoice__c" for one in sf.describe()["sobjects"])
assert sf.Account.metadata()["objectDescribe"]["name"] == "Account"
assert sf.Account.delete(made["id"]) == 204
gone = sf.query_all("SELECT Id, IsDeleted FROM Account WHERE Site = 'North'", include_deleted=True)
assert [row["IsDeleted"] for row in gone["records"]] == [True]
now = datetime.now(timezone.utc)
span = (now - timedelta(minutes=5), now + timedelta(minutes=5))
assert made["id"] in [row["id"] for row in sf.Account.deleted(*span)["deletedRecords"]]
assert sf.Account.updated(*span)["ids"]
assert sf.limits()["DailyApiRequests"]["Remaining"] > 0
assert sf.api_usage["api-usage"].used > 0
assert sf.search("FIND {Twin} RETURNING Account(Name)")["searchRecords"][0]["Name"] == "Twin"
assert sf.toolingexecute is not None and sf.restful("limits")["DailyApiRequests"]
assert sf.apexecute("Echo", method="POST", data={"a": 1})["body"] == {"a": 1}
assert len(list(sf.query_all_iter("SELECT Id FROM Invoice__c"))) == 180

rows = [{"LastName": f"Row {number}", "Company": "Py", "External_Id__c": f"PY-{number}"} for number in range(5)]
done = sf.bulk2.Lead.insert(records=rows, wait=0.01)
assert (done[0]["numberRecordsProcessed"], done[0]["numberRecordsFailed"]) == (5, 0), done
done = sf.bulk2.Lead.upsert(records=[{"External_Id__c": "PY-0", "LastName": "New", "NumberOfEmployees": "x"}], external_id_field="External_Id__c", wait=0.01)
assert done[0]["numberRecordsFailed"] == 1
results = sf.bulk2.Lead.get_all_ingest_records(done[0]["job_id"])
assert "JSON_PARSER_ERROR" in results["failedRecords"][0]["sf__Error"]
pages = list(sf.bulk2.Lead.query("SELECT Id, LastName FROM Lead WHERE Company = 'Py'", max_records=2))
assert [len(page.strip().split("\n")) - 1 for page in pages] == [2, 2, 1], pages
ids = [{"Id": row["Id"]} for row in sf.query("SELECT Id FROM Lead WHERE Company = 'Py'")["records"]]
assert sf.bulk2.Lead.delete(records=ids, wait=0.01)[0]["numberRecordsFailed"] == 0

stale = SFType("Account", "expired", host, sf_version="62.0", session=session())
refused(SalesforceExpiredSession, lambda: stale.get("001000000000001AAA"))
print("all good")
