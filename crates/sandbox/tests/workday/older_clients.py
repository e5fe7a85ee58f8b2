"""PyPI workday and tap-workday-raas against the sandbox: pages of workers, faults, reports. One argument: the credentials as JSON."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from workday import WorkdayClient
from workday.exceptions import WorkdaySoapApiError
from workday.auth import WsSecurityCredentialAuthentication

c = json.loads(sys.argv[1])


def client(password=c["password"]):
    wsdls = {"hr": c["wsdl"].removesuffix("?wsdl")}
    return WorkdayClient(wsdls=wsdls, authentication=WsSecurityCredentialAuthentication(c["username"], password))


# Its way of going through pages: each answer gives the next.
hr = client().hr
page = hr.Get_Workers(
    Request_Criteria={"Exclude_Inactive_Workers": False}, Response_Filter={"Page": 1, "Count": 400}, Response_Group={"Include_Reference": True}
)
seen = []
while True:
    assert page.page_results == len(page.data.Worker), (page.page, page.page_results)
    seen += [[i._value_1 for i in w.Worker_Reference.ID if i.type == "WID"][0] for w in page.data.Worker]
    try:
        page = page.next()
    except StopIteration:
        break
assert page.page == page.total_pages == 4, (page.page, page.total_pages)
assert len(seen) == len(set(seen)) == page.total_results == 1248, (len(seen), page.total_results)
photos = hr.Get_Worker_Photos(Request_References={"Worker_Reference": [{"ID": [{"_value_1": "21001", "type": "Employee_ID"}]}]})
assert photos.total_results == 0 and photos.data is None
try:
    client("wrong").hr.Get_Workers()
    raise AssertionError("a wrong password was taken")
except WorkdaySoapApiError as error:
    assert "invalid username or password" in str(error), repr(error)


# Its JSON reader in C is not built for every Python; the one in Python reads the same.
TAP = """
import sys, ijson.backends, ijson.backends.python as reader
sys.modules["ijson.backends.yajl2_c"] = ijson.backends.yajl2_c = reader
from tap_workday_raas import main
main()
"""


def tap(config, *arguments):
    run = [sys.executable, "-c", TAP, "--config", str(config), *map(str, arguments)]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


# Discovery reads the report's schema, a sync its rows; nobody is no error.
with tempfile.TemporaryDirectory() as folder:
    config, catalog = Path(folder) / "config.json", Path(folder) / "catalog.json"
    base = c["report"].rsplit("/", 1)[0]
    names = ["All_Workers", "Organizations", "Nobody"]
    reports = [{"report_name": name, "report_url": f"{base}/{name}?format=csv"} for name in names]
    config.write_text(json.dumps({"username": c["username"], "password": c["password"], "reports": json.dumps(reports)}))
    found = json.loads(tap(config, "--discover"))
    assert [stream["tap_stream_id"] for stream in found["streams"]] == names
    assert "Employee_ID" in found["streams"][0]["schema"]["properties"], found["streams"][0]
    for stream in found["streams"]:
        for entry in stream["metadata"]:
            entry["metadata"]["selected"] = True
    catalog.write_text(json.dumps(found))
    rows = {name: [] for name in names}
    for line in tap(config, "--catalog", catalog).splitlines():
        message = json.loads(line)
        if message["type"] == "RECORD":
            rows[message["stream"]].append(message["record"])
    assert len(rows["All_Workers"]) == 1248 and rows["Organizations"] and not rows["Nobody"], {k: len(v) for k, v in rows.items()}
    assert len({row["Employee_ID"] for row in rows["All_Workers"]}) > 1000, rows["All_Workers"][0]

print("ok")
