"""PyPI wdsdk and wws-api against the sandbox: reports by the API client, pages of workers. One argument: the credentials as JSON."""

import csv
import io
import json
import sys

from lxml import etree
from wdsdk import IsuCredentials, RaasClient
from wdsdk.logger import LogLevel
from wws_api import request_wws, to_dict

c = json.loads(sys.argv[1])

# Signs in once with the refresh token and reads the token's end from the token itself.
signed_in = RaasClient(IsuCredentials(c["client_id"], c["client_secret"], c["refresh_token"]), c["token_endpoint"], LogLevel.INFO)
base = c["report"].rsplit("/", 1)[0]
workers = signed_in.request(f"{base}/All_Workers")
rows = json.loads(workers.json())["Report_Entry"]
assert len(rows) == 1248, len(rows)
assert len(list(csv.DictReader(io.StringIO(workers.csv())))) == 1248
assert "Report_Entry" in workers.xml()
try:
    signed_in.request(f"{base}/No_Such_Report").json()
    raise AssertionError("a report that is not there was read")
except Exception as error:
    assert type(error).__name__ == "InternalException", repr(error)

# All pages at once, after a first one that tells how many there are.
BODY = """<wd:Get_Workers_Request xmlns:wd="urn:com.workday/bsvc" wd:version="v44.2">
  <wd:Request_Criteria><wd:Exclude_Inactive_Workers>false</wd:Exclude_Inactive_Workers></wd:Request_Criteria>
  <wd:Response_Filter><wd:Page>{ page }</wd:Page><wd:Count>400</wd:Count></wd:Response_Filter>
  <wd:Response_Group><wd:Include_Reference>true</wd:Include_Reference></wd:Response_Group>
</wd:Get_Workers_Request>"""
url = c["wsdl"].removesuffix("?wsdl")
pages = request_wws(url, c["username"], c["password"], BODY)
names = {"wd": "urn:com.workday/bsvc"}
seen = [found.text for page in pages for found in etree.fromstring(page).iterfind(".//wd:Worker_Reference/wd:ID[@wd:type='WID']", names)]
assert len(pages) == 4 and len(seen) == len(set(seen)) == 1248, (len(pages), len(seen))
fault = request_wws(url, c["username"], "wrong", BODY.replace("{ page }", "1"))
assert b"invalid username or password" in fault, fault
print("ok")
