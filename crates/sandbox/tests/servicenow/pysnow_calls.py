"""pysnow against the instance: what its users do every day."""

import os
import tempfile

import pysnow

host = os.environ["SN_URL"]
client = pysnow.Client(host=host, user=os.environ["SN_USER"], password=os.environ["SN_PASSWORD"], use_ssl=False)
client.parameters.exclude_reference_link = True
incidents = client.resource(api_path="/table/incident")

created = incidents.create(payload={"short_description": "from pysnow", "urgency": "1", "description": "text"}).one()
assert created["number"].startswith("INC"), created
updated = incidents.update(query={"number": created["number"]}, payload={"state": "2"}).one()
assert updated["state"] == "2" and updated["short_description"] == "from pysnow", updated

query = pysnow.QueryBuilder().field("state").equals("2").AND().field("short_description").contains("pysnow")
query = query.AND().field("number").order_descending()
assert incidents.get(query=query).one()["sys_id"] == created["sys_id"]
either = pysnow.QueryBuilder().field("state").equals(["1", "7"]).OR().field("priority").less_than(3)
assert len(list(incidents.get(query=either).all())) > 20
assert len(list(incidents.get(query={}, limit=10, offset=5, stream=True).all())) == 10
first = incidents.get(query={}, fields=["number", "sys_id"], stream=True).first()
assert set(first) == {"number", "sys_id"}, first
assert incidents.get(query={"number": "nothing"}).one_or_none() is None
try:
    incidents.get(query={"state": "1"}).one()
    raise AssertionError("several records are not one")
except pysnow.exceptions.MultipleResults:
    pass

shown = client.resource(api_path="/table/incident")
shown.parameters.display_value = True
assert shown.get(query={"sys_id": created["sys_id"]}).one()["state"] == "In Progress"

with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
    file.write("attached by pysnow")
    file.flush()
    kept = incidents.attachments.upload(sys_id=created["sys_id"], file_path=file.name, name="a.txt").one()
    assert kept["file_name"] == "a.txt" and kept["size_bytes"] == "18", kept
assert len(list(incidents.attachments.get(sys_id=created["sys_id"]))) == 1

assert incidents.delete(query={"number": created["number"]}) == {"status": "record deleted"}
assert incidents.get(query={"number": created["number"]}).one_or_none() is None
try:
    client.resource(api_path="/table/nothing").get(query={}).all()
    raise AssertionError("an unknown table is refused")
except Exception as error:
    assert "400" in str(error), error

signed = pysnow.OAuthClient(client_id=os.environ["SN_CLIENT_ID"], client_secret=os.environ["SN_CLIENT_SECRET"], host=host, use_ssl=False)
token = signed.generate_token(os.environ["SN_USER"], os.environ["SN_PASSWORD"])
assert token["refresh_token"] and token["expires_in"] <= 1799, token
signed.set_token(token)
assert signed.resource(api_path="/table/incident").get(query={"number": "INC0010001"}).one()["number"] == "INC0010001"
try:
    signed.generate_token(os.environ["SN_USER"], "wrong")
    raise AssertionError("a wrong password gives no token")
except pysnow.exceptions.TokenCreateError:
    pass
print("all good")
