"""PyPI netsuite and oauthlib against the simulated account."""
import asyncio
import json
import random
import sys
import urllib.request

from netsuite import Config, NetSuiteRestApi, NetSuiteRestlet, TokenAuth
from netsuite.exceptions import NetsuiteAPIRequestError
from oauthlib import oauth1

credentials = json.loads(sys.argv[1])
url = credentials["url"]


class Rest(NetSuiteRestApi):
    def _make_url(self, subpath):
        return f"{url}/services/rest{subpath}"


class Restlet(NetSuiteRestlet):
    def _make_url(self, subpath):
        return f"{url}/app/site/hosting/restlet.nl{subpath}"


def config(**change):
    auth = dict(
        consumer_key=credentials["consumer_key"],
        consumer_secret=credentials["consumer_secret"],
        token_id=credentials["token"],
        token_secret=credentials["token_secret"],
    )
    return Config(account=change.pop("account", credentials["account"]), auth=TokenAuth(**{**auth, **change}))


async def refused(client):
    try:
        await client.get("/record/v1/customer")
    except NetsuiteAPIRequestError as error:
        assert error.status_code == 401, error
        return
    raise AssertionError("a wrong signature was taken")


async def talk():
    rest = Rest(config())
    page = await rest.suiteql("SELECT id, companyname FROM customer ORDER BY id", limit=10, offset=20)
    assert page["count"] == 10 and page["hasMore"] and "companyname" in page["items"][0]
    assert (await rest.get("/record/v1/customer/eid:C-0001"))["externalId"] == "C-0001"
    assert await rest.post("/record/v1/customer", json={"companyName": "Pine & Co + é", "subsidiary": {"id": "1"}, "externalId": "P 1&2"}) is None
    assert await rest.patch("/record/v1/customer/eid:P%201&2", json={"phone": "+1"}) is None
    found = await rest.get("/record/v1/customer", params={"q": 'companyName START_WITH "Pine & Co +"', "limit": 2})
    assert found["count"] == 1, found
    schema = await rest.jsonschema("customer")
    assert "companyName" in schema["properties"]
    assert "customer" in (await rest.openapi(["customer"]))["components"]["schemas"]
    assert await rest.delete("/record/v1/customer/eid:P%201&2") is None
    echo = await Restlet(config()).post(1, json={"a": [1, 2]})
    assert echo == {"method": "POST", "received": {"a": [1, 2]}}
    await refused(Rest(config(token_secret="wrong")))
    await refused(Rest(config(account=credentials["account"].lower())))


def sign_many():
    """Addresses with everything that can be wrongly encoded."""
    client = oauth1.Client(
        credentials["consumer_key"], credentials["consumer_secret"], credentials["token"], credentials["token_secret"],
        signature_method="HMAC-SHA256", realm=credentials["account"],
    )
    dice = random.Random(7)
    for _ in range(200):
        pairs = [(dice.choice(["a", "b", "é", "x y"]), "".join(dice.choice("+&%é~'()=/ ?;z") for _ in range(dice.randrange(5)))) for _ in range(dice.randrange(4))]
        query = urllib.parse.urlencode([("script", "1"), ("deploy", "1"), *pairs])
        target, headers, _ = client.sign(f"{url}/app/site/hosting/restlet.nl?{query}", "GET")
        with urllib.request.urlopen(urllib.request.Request(target, headers=headers)) as answer:
            received = json.load(answer)["received"]
        assert received == dict(pairs), (received, pairs)


asyncio.run(talk())
sign_many()
print("ok")
