"""The Pub/Sub API with Google's gRPC and an Avro library that is not ours."""

import io
import json
import os
import queue
import sys
import tempfile
import urllib.parse
import urllib.request

import fastavro
import grpc
from grpc_tools import protoc

here = os.path.dirname(os.path.abspath(__file__))
made = tempfile.mkdtemp()
code = protoc.main(["protoc", f"-I{here}", f"--python_out={made}", f"--grpc_python_out={made}", os.path.join(here, "pubsub.proto")])
assert code == 0
sys.path.insert(0, made)
import pubsub_pb2 as pb  # noqa: E402
import pubsub_pb2_grpc as service  # noqa: E402

told = json.loads(os.environ["SF_CREDENTIALS"])
control = os.environ["SF_CONTROL"].rstrip("/")
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def http(method, url, body=None, token=None, form=False):
    data = None if body is None else (urllib.parse.urlencode(body) if form else json.dumps(body)).encode()
    kind = "application/x-www-form-urlencoded" if form else "application/json"
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": kind})
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    answer = direct.open(request).read()
    return json.loads(answer) if answer else None


def sign_in():
    form = {"grant_type": "client_credentials", "client_id": told["client_id"], "client_secret": told["client_secret"]}
    return http("POST", told["token_url"], form, form=True)["access_token"]


def happen(name, **given):
    return http("POST", f"{control}/vendors/salesforce/happen/{name}", given)


def configure(**given):
    http("PATCH", f"{control}/vendors/salesforce/settings", given)


token = sign_in()
channel = grpc.insecure_channel(told["pubsub_url"].split("://")[1].strip("/"), options=[("grpc.enable_http_proxy", 0)])
stub = service.PubSubStub(channel)


def auth(access=None, org=None):
    return [("accesstoken", access or token), ("instanceurl", told["instance_url"]), ("tenantid", org or told["organization_id"])]


schemas = {}


def schema(id):
    if id not in schemas:
        info = stub.GetSchema(pb.SchemaRequest(schema_id=id), metadata=auth())
        assert info.schema_id == id
        schemas[id] = fastavro.parse_schema(json.loads(info.schema_json))
    return schemas[id]


def decoded(event):
    return fastavro.schemaless_reader(io.BytesIO(event.event.payload), schema(event.event.schema_id), None)


class Stream:
    """A subscription; what is asked for goes in by a queue."""

    def __init__(self, topic, count, preset=pb.EARLIEST, replay=b"", access=None):
        self.asked = queue.Queue()
        self.topic = topic
        self.asked.put(pb.FetchRequest(topic_name=topic, replay_preset=preset, replay_id=replay, num_requested=count))
        self.answers = stub.Subscribe(iter(self.asked.get, None), metadata=auth(access), timeout=20)

    def ask(self, count, topic=""):
        self.asked.put(pb.FetchRequest(topic_name=topic, num_requested=count))

    def take(self, count):
        events = []
        while len(events) < count:
            self.last = next(self.answers)
            events += self.last.events
        assert len(events) == count, (len(events), count)
        return events

    def close(self):
        self.asked.put(None)
        self.answers.cancel()


def refused(call, status, code):
    try:
        call()
    except grpc.RpcError as error:
        trailers = dict(error.trailing_metadata())
        assert error.code() == status, error
        assert trailers["error-code"] == f"sfdc.platform.eventbus.grpc.{code}", trailers
        return
    raise AssertionError(f"{code} was not refused")


TOPIC = "/event/Order_Event__e"
topic = stub.GetTopic(pb.TopicRequest(topic_name=TOPIC), metadata=auth())
assert topic.can_publish and topic.can_subscribe and topic.tenant_guid == told["organization_id"]
assert schema(topic.schema_id)["name"].endswith("Order_Event__e")

# Who may not come in, and what is not there.
invalid, unknown = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
get = lambda name, **who: stub.GetTopic(pb.TopicRequest(topic_name=name), metadata=auth(**who))  # noqa: E731
refused(lambda: get(TOPIC, access="wrong"), grpc.StatusCode.UNAUTHENTICATED, "service.auth.error")
refused(lambda: get(TOPIC, org="00D000000000001AAA"), grpc.StatusCode.UNAUTHENTICATED, "service.auth.error")
refused(lambda: stub.GetTopic(pb.TopicRequest(topic_name=TOPIC)), grpc.StatusCode.UNAUTHENTICATED, "service.auth.headers.invalid")
refused(lambda: get("/event/Nothing__e"), unknown, "topic.not.found")
refused(lambda: get("/data/TaskChangeEvent"), unknown, "topic.not.found")
refused(lambda: get(""), invalid, "topic.validation.empty")

# By REST, by the control page, by Publish, by PublishStream: all end in one stream.
rest = f"{told['instance_url'].rstrip('/')}/services/data/v62.0"
uuid = http("POST", f"{rest}/sobjects/Order_Event__e", {"Number__c": "1", "Amount__c": 9.5, "Placed__c": "2026-01-02T03:04:05Z"}, token)["errors"][0]["message"]
happen("publish", event="Order_Event__e", fields={"Number__c": "2", "Has_Printed__c": True})


def written(**values):
    out = io.BytesIO()
    record = {"CreatedDate": 0, "CreatedById": "x", "Number__c": None, "Account_Key__c": None, "Amount__c": None, "Has_Printed__c": None, "Placed__c": None}
    fastavro.schemaless_writer(out, schema(topic.schema_id), {**record, **values})
    return pb.ProducerEvent(id=f"own-{values['Number__c']}", schema_id=topic.schema_id, payload=out.getvalue())


answer = stub.Publish(pb.PublishRequest(topic_name=TOPIC, events=[written(Number__c="3", Amount__c=-1.25), pb.ProducerEvent(id="bad", schema_id=topic.schema_id, payload=b"\x00")]), metadata=auth())
assert answer.results[0].correlation_key == "own-3" and answer.results[0].replay_id
assert answer.results[1].error.code == pb.PUBLISH and not answer.results[1].replay_id
batches = [pb.PublishRequest(topic_name=TOPIC, events=[written(Number__c=str(number))]) for number in (4, 5)]
assert len(list(stub.PublishStream(iter(batches), metadata=auth()))) == 2
refused(lambda: stub.Publish(pb.PublishRequest(topic_name=TOPIC), metadata=auth()), invalid, "publish.event.count.invalid")

stream = Stream(TOPIC, 2)
events = stream.take(2)
assert stream.last.pending_num_requested == 0 and stream.last.latest_replay_id == events[-1].replay_id
assert events[0].event.id == uuid
first = decoded(events[0])
assert (first["Number__c"], first["Amount__c"], first["Placed__c"], first["Has_Printed__c"]) == ("1", 9.5, 1767323045000, None), first
assert decoded(events[1])["Has_Printed__c"] is True
stream.ask(3)
events += stream.take(3)
assert [decoded(event)["Number__c"] for event in events] == ["1", "2", "3", "4", "5"]
assert decoded(events[2])["Amount__c"] == -1.25 and events[2].event.id == "own-3"
stream.close()

# From the middle, from the end, from nowhere.
middle = Stream(TOPIC, 100, pb.CUSTOM, events[1].replay_id)
assert [event.event.id for event in middle.take(3)] == [event.event.id for event in events[2:]]
middle.ask(1, "/event/Invoice_Paid__e")
refused(lambda: next(middle.answers), invalid, "subscription.fetch.topic.mismatch")
configure(stream_keepalive_ms=50)
latest = Stream(TOPIC, 10, pb.LATEST)
alive = next(latest.answers)
assert not alive.events and alive.latest_replay_id and alive.pending_num_requested == 10
configure(stream_keepalive_ms=270000)
refused(lambda: next(Stream(TOPIC, 1, pb.CUSTOM).answers), invalid, "subscription.fetch.replayid.validation.failed")
refused(lambda: next(Stream(TOPIC, 1, pb.CUSTOM, b"nonsense").answers), invalid, "subscription.fetch.replayid.corrupted")
refused(lambda: next(Stream(TOPIC, 0).answers), invalid, "subscription.fetch.requested.events.invalid")

# The schema changes while somebody listens.
happen("add_field", object="Order_Event__e", field="Region__c string:80 \"Region\"")
happen("publish", event="Order_Event__e", fields={"Number__c": "6", "Region__c": "EMEA"})
grown = next(event for answer in latest.answers for event in answer.events)
assert grown.event.schema_id != topic.schema_id and decoded(grown)["Region__c"] == "EMEA"
latest.close()

# Changes of records, with their bitmaps.
configure(stream_keepalive_ms=50)
changes = Stream("/data/ChangeEvents", 100, pb.LATEST)
next(changes.answers)
configure(stream_keepalive_ms=270000)
account = http("POST", f"{rest}/sobjects/Account", {"Name": "Acme", "BillingCity": "Bern", "Phone": "1"}, token)["id"]
request = {"Rating": "Hot", "Phone": None, "BillingCity": "Basel"}
http("PATCH", f"{rest}/sobjects/Account/{account}", request, token)
http("DELETE", f"{rest}/sobjects/Account/{account}", None, token)
happen("gap", object="Account", kind="GAP_UPDATE", ids=[account])
told_changes = []
while len(told_changes) < 4:
    told_changes += next(changes.answers).events
created, changed, gone, gap = [decoded(event) for event in told_changes]
kinds = [event["ChangeEventHeader"]["changeType"] for event in (created, changed, gone, gap)]
assert kinds == ["CREATE", "UPDATE", "DELETE", "GAP_UPDATE"], kinds
header = changed["ChangeEventHeader"]
assert header["recordIds"] == [account] and header["entityName"] == "Account" and header["changeOrigin"].startswith("com/salesforce/api/rest/62.0")
assert created["Name"] == "Acme" and created["BillingAddress"]["City"] == "Bern" and created["Rating"] is None
assert changed["Rating"] == "Hot" and changed["Name"] is None and changed["BillingAddress"]["City"] == "Basel"


def named(event, bitmaps):
    """Names of the fields of a bitmap, the way Salesforce's own example does it: the lowest bit is the first field."""
    fields = schema(event.event.schema_id)["fields"]
    names = []
    for bitmap in bitmaps:
        parent, _, digits = bitmap.rpartition("-")
        within = fields if not parent else fields[int(parent)]["type"][1]["fields"]
        bits = bin(int(digits, 16))[2:][::-1]
        names += [(fields[int(parent)]["name"] + "." if parent else "") + within[at]["name"] for at, bit in enumerate(bits) if bit == "1"]
    return set(names)


assert named(told_changes[1], header["changedFields"]) >= {"Rating", "Phone", "BillingAddress.City"}
assert named(told_changes[1], header["nulledFields"]) == {"Phone"}
assert "Name" not in named(told_changes[1], header["changedFields"])

# A stream that breaks, each event twice, a session that ends, an org that moves.
configure(stream_breaks=1, stream_break_events=2, stream_break_with="unavailable")
broken = Stream(TOPIC, 100)
assert len(broken.take(2)) == 2
refused(lambda: next(broken.answers), grpc.StatusCode.UNAVAILABLE, "service.unavailable")
configure(stream_breaks=1, stream_break_events=2, stream_break_with="reset")
broken = Stream(TOPIC, 100)
try:
    while True:
        next(broken.answers)
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.UNAVAILABLE, error
configure(stream_twice=True)
twice = Stream(TOPIC, 2)
ids = [event.replay_id for event in next(twice.answers).events]
assert len(ids) == 4 and len(set(ids)) == 2
configure(stream_twice=False)
twice.close()
configure(stream_breaks=1, stream_break_events=1, stream_break_with="expired")
ended = Stream(TOPIC, 100)
ended.take(1)
refused(lambda: next(ended.answers), grpc.StatusCode.UNAUTHENTICATED, "service.auth.error")
token = sign_in()
happen("move_org")
refused(lambda: next(Stream(TOPIC, 1, pb.CUSTOM, events[1].replay_id).answers), invalid, "subscription.fetch.replayid.corrupted")
print("all good", flush=True)
# Streams that are still open would hold the end up.
os._exit(0)
