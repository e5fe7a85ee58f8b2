"""PyPI netsuitesdk (through zeep) against the simulated account."""
import json
import logging
import sys

from netsuitesdk import NetSuiteConnection
from netsuitesdk.internal.client import NetSuiteClient
from netsuitesdk.internal.exceptions import NetSuiteLoginError, NetSuiteRequestError

logging.disable(logging.WARNING)
credentials = json.loads(sys.argv[1])
NetSuiteClient.WSDL_URL_TEMPLATE = credentials["url"] + "/wsdl/{wsdl_version}/netsuite.wsdl"
NetSuiteClient.DATACENTER_URL_TEMPLATE = credentials["url"] + "/services/{netsuite_port_version}"


def connect(wsdl_version, **change):
    keys = dict(
        account=credentials["account"], consumer_key=credentials["consumer_key"], consumer_secret=credentials["consumer_secret"],
        token_key=credentials["token"], token_secret=credentials["token_secret"],
    )
    return NetSuiteConnection(**{**keys, **change}, caching=False, page_size=10, wsdl_version=wsdl_version)


connection = connect("2024_1")
customers = [customer for page in connection.customers.get_all_generator() for customer in page]
assert len(customers) == 60, len(customers)
assert len({customer["internalId"] for customer in customers}) == 60
one = connection.customers.get(externalId="C-0001")
assert one["companyName"] and one["currency"]["name"], one
changed = [customer for page in connection.customers.get_records_generator(active=False) for customer in page or []]
assert changed == [], changed
recent = [customer for page in connection.customers.get_records_generator(last_modified_date="2000-01-01T00:00:00", active=True) for customer in page]
assert len(recent) == 60

reference = connection.customers.post({
    "externalId": "SOAP-1", "companyName": "Soap & Co", "subsidiary": {"internalId": "1"}, "currency": {"internalId": "1"},
    "representingSubsidiary": {}, "monthlyClosing": {}, "email": "a@soap.example",
})
assert reference["internalId"] and reference["externalId"] == "SOAP-1", reference
assert connection.customers.get(externalId="SOAP-1")["email"] == "a@soap.example"
assert connection.client.delete(recordType="customer", externalId="SOAP-1")["internalId"] == reference["internalId"]
try:
    connection.customers.get(externalId="SOAP-1")
    raise AssertionError("a deleted record was found")
except NetSuiteRequestError as error:
    assert error.code == "RCRD_DSNT_EXIST", error

currencies = connection.currencies.get_all()
assert len(currencies) == 5, currencies
client = connection.client
bills = client.search_factory("Transaction", basic=client.basic_search_factory(
    "Transaction", type=client.SearchEnumMultiSelectField(searchValue=["_vendorBill"], operator="anyOf")))
result = client.search(bills)
assert result.totalRecords == 5 and result.records[0]["tranId"], result

folder = connection.folders.post({"externalId": "FOLDER-1", "name": "Receipts"})
file = connection.files.post({
    "externalId": "FILE-1", "name": "receipt.txt", "content": b"12.50 & more",
    "folder": {"internalId": folder["internalId"], "type": "folder"},
})
kept = connection.files.get(externalId="FILE-1")
assert kept["content"] == b"12.50 & more" and kept["folder"]["internalId"] == folder["internalId"], kept
attach = client._client.get_type("{urn:core_2024_1.platform.webservices.netsuite.com}AttachBasicReference")
to = client.RecordRef(internalId=one["internalId"], type="customer")
tied = client.request("attach", attach(attachTo=to, attachedRecord=client.RecordRef(internalId=file["internalId"], type="file")))
assert tied.body.writeResponse.status.isSuccess, tied

for change in ({"token_secret": "wrong"}, {"account": "1234567_SB2"}):
    try:
        connect("2019_1", **change).customers.get(externalId="C-0001")
        raise AssertionError("a wrong signature was taken")
    except NetSuiteLoginError as error:
        assert "Invalid login attempt" in str(error)
assert connect("2019_1").customers.get(externalId="C-0002")["externalId"] == "C-0002"
print("ok")
