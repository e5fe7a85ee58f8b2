"""The official Python client, PySNC, against the instance."""

import os
import time

import jwt
import requests
from pysnc import ServiceNowClient, ServiceNowPasswordGrantFlow, exceptions
from pysnc.auth import ServiceNowClientCredentialsFlow

url, user, password = (os.environ[name] for name in ("SN_URL", "SN_USER", "SN_PASSWORD"))
client_id, secret = os.environ["SN_CLIENT_ID"], os.environ["SN_CLIENT_SECRET"]
ADMIN = "6816f79cc0a8016401c5a33be04be441"
client = ServiceNowClient(url, (user, password))

# Pages of three, in order, each row once.
gr = client.GlideRecord("incident", batch_size=3)
gr.add_query("state", "2").add_or_condition("state", "1")
gr.add_not_null_query("short_description")
gr.order_by_desc("number")
gr.fields = "number,caller_id.email,state"
gr.query()
numbers = [row.get_value("number") for row in gr]
assert len(numbers) == len(set(numbers)) == gr.get_row_count() > 9, numbers
assert numbers == sorted(numbers, reverse=True)

# Values, what people see, dot-walks.
gr = client.GlideRecord("sys_user")
gr.fields = "sys_id,name,email,department,department.name,department.dept_head,department.dept_head.email,user_password,sys_updated_on"
assert gr.get(ADMIN)
assert gr.department.name == "Finance" and gr.get_value("department") == "a581ab703710200044e0bfc8bcbe5de8"
assert gr.department.dept_head.email == "natasha.ingram@example.com"
assert gr.get_display_value("user_password") == "********"
assert gr.get_value("sys_updated_on") != gr.get_display_value("sys_updated_on")
assert not client.GlideRecord("sys_user").get("bunk")

# Insert with an id of our own, change, delete.
gr = client.GlideRecord("problem")
gr.initialize()
gr.set_new_guid_value("AAAABBBBCCCCDDDDEEEEFFFF00001111")
gr.short_description = "from PySNC"
gr.bunk_field = "dropped"
assert gr.insert() == "AAAABBBBCCCCDDDDEEEEFFFF00001111"
assert len(gr.opened_by) == 32 and bool(gr.active) and gr.get_display_value("opened_by") == "System Administrator"
gr.short_description = "changed"
gr.assigned_to = "26fbff173b331300ad3cc9bb34efc4bd"
assert gr.update() and gr.get_display_value("assigned_to") == "Problem Admin"

# Attachments.
location = gr.add_attachment("test.bin", bytes(range(10)))
attachments = gr.get_attachments()
assert len(attachments) == 1
for one in attachments:
    assert one.read() == bytes(range(10))
    assert one.get_link() == location, (one.get_link(), location)
assert gr.delete() and not client.GlideRecord("problem").get("AAAABBBBCCCCDDDDEEEEFFFF00001111")

# Many at once, through the Batch API; a rule refuses some.
for place in range(6):
    gr = client.GlideRecord("problem")
    gr.initialize()
    gr.short_description = f"BUNKZZ {place}"
    assert gr.insert()
rule = client.GlideRecord("sys_script")
rule.initialize()
for name, value in dict(
    name="stop", collection="problem", active=True, when="before", action_update=True, abort_action=True,
    message="no", filter_condition="short_descriptionLIKEEICAR^EQ",
).items():
    rule.set_value(name, value)
assert rule.insert()
gr = client.GlideRecord("problem")
gr.add_query("short_description", "LIKE", "BUNKZZ")
gr.query()
assert len(gr) == 6
for place, row in enumerate(gr):
    row.short_description = row.short_description + (" EICAR" if place == 0 else " APPENDED")
assert gr.update_multiple() is False
for text, count in (("APPENDED", 5), ("EICAR", 0)):
    gr = client.GlideRecord("problem")
    gr.add_query("short_description", "LIKE", text)
    gr.query()
    assert len(gr) == count, (text, len(gr))
gr = client.GlideRecord("problem")
gr.add_query("short_description", "LIKE", "BUNKZZ")
assert gr.delete_multiple()
gr.query()
assert len(gr) == 0

# Joins, related lists, queries too long for an address, unknown fields.
gr = client.GlideRecord("sys_user")
gr.add_join_query("sys_user_group", join_table_field="manager").add_query("active", "true")
gr.query()
assert 1 < gr.get_row_count() < 40
gr = client.GlideRecord("sys_user")
gr.add_join_query("sys_user_has_role", join_table_field="user").add_query("role", "2831a114c611228501d4ea6c309d626d")
gr.query()
assert 10 < len(gr) < 25, len(gr)
gr = client.GlideRecord("sys_user_group")
gr.add_rl_query("sys_group_has_role", "group", ">0", True).add_query("role.name", "LIKE", "admin")
gr.query()
assert 2 < gr.get_row_count() < 8
gr = client.GlideRecord("sys_user")
for _ in range(2300):
    gr.add_query("AAAA", "BBBB")
gr.add_query("sys_id", ADMIN)
gr.query()
assert len(gr) == 1
gr = client.GlideRecord("syslog")
gr.fields = ["sys_id"]
gr.limit = 1100
gr.query()
assert sum(1 for _ in gr) > 600
gr = client.GlideRecord("sys_metadata")
gr.limit = 9
gr.query()
assert len(gr) > 500
for table, words in (("no_such_table", "Invalid table"), ("A" * 23000, "html>")):
    try:
        client.GlideRecord(table).get("x")
        raise AssertionError("refused")
    except exceptions.RequestException as error:
        assert words in str(error), error
try:
    ServiceNowClient(url, (user, "wrong")).GlideRecord("incident").query()
    raise AssertionError("refused")
except exceptions.AuthenticationException:
    pass

# OAuth: password, client credentials, a signed assertion.
flows = [
    ServiceNowPasswordGrantFlow(user, password, client_id, secret),
    ServiceNowClientCredentialsFlow(client_id, secret),
]
for flow in flows:
    gr = ServiceNowClient(url, flow).GlideRecord("incident")
    gr.limit = 1
    gr.query()
    assert gr.next()


# The client's own JWT helper leaves the port out of the address, so its request is made here.
now = int(time.time())
claims = {"iss": client_id, "sub": user, "aud": client_id, "iat": now, "exp": now + 300, "jti": "1"}
signed = jwt.encode(claims, os.environ["SN_JWT_KEY"], algorithm="HS256")
answer = requests.post(
    f"{url}/oauth_token.do",
    headers={"Authentication": f"Bearer {signed}"},
    data={"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "client_id": client_id, "client_secret": secret},
)
assert answer.status_code == 200 and answer.json()["expires_in"] <= 1799, answer.text
print("all good")
