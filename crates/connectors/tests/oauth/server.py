"""An OAuth server made of Authlib (RFC 6749, RFC 7523), and an API that takes its tokens.

    python server.py WHAT

WHAT is JSON: client_id, grant, and method with client_secret, or algorithm and public_key with audiences and subject; {self} in
an audience is the server's own address. Prints its address. A POST to what ends like a vendor's token endpoint is answered by
Authlib, everything else by the API. GET /seen tells the sign-ins that were good, those refused, and calls with and without a good token.
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from authlib.common.security import generate_token
from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    ClientMixin,
    InvalidClientError,
    OAuth2Request,
)
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7523 import JWTBearerGrant
from authlib.oauth2.rfc7523.client import JWTBearerClientAssertion
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

wanted = json.loads(sys.argv[1])
algorithm = wanted.get("algorithm")
seen = {"good": [], "assertions": [], "refused": [], "calls": 0, "strangers": 0}
tokens = set()
used = set()
TOKEN_ENDPOINTS = ("/token", "/oauth_token.do")


def public_key():
    kind = ECKey if algorithm == "ES256" else RSAKey
    return kind.import_key(wanted["public_key"])


class Client(ClientMixin):
    def get_client_id(self):
        return wanted["client_id"]

    def get_allowed_scope(self, scope):
        return scope or ""

    def check_client_secret(self, secret):
        return secret == wanted.get("client_secret")

    def check_endpoint_auth_method(self, method, endpoint):
        return method == wanted["method"]

    def check_grant_type(self, grant):
        return grant == wanted["grant"]


class Request(OAuth2Request):
    def __init__(self, method, uri, headers, form):
        super().__init__(method, uri, headers=headers)
        self._form = form
        self.payload = BasicOAuth2Payload(form)

    @property
    def form(self):
        return self._form


class Server(AuthorizationServer):
    def query_client(self, client_id):
        return Client() if client_id == wanted["client_id"] else None

    def save_token(self, token, request):
        tokens.add(token["access_token"])

    def create_oauth2_request(self, request):
        return request

    def send_signal(self, name, *args, **kwargs):
        pass

    def handle_response(self, status, body, headers):
        return status, body


class ClientCredentials(ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post", "client_assertion_jwt"]


def verified(assertion):
    # PS256 has to be asked for by name.
    token = jwt.decode(assertion, public_key(), algorithms=[algorithm])
    jwt.JWTClaimsRegistry(
        leeway=5,
        iss={"essential": True, "value": wanted["client_id"]},
        aud={"essential": True, "values": wanted["audiences"]},
        exp={"essential": True},
        **({"sub": {"essential": True, "value": wanted["subject"]}} if wanted.get("subject") else {}),
    ).validate(token.claims)
    if token.claims["exp"] - token.claims["iat"] > 3600:
        raise ValueError("an assertion is good for a short time")
    if token.claims["jti"] in used:
        raise ValueError("this assertion was used before")
    used.add(token.claims["jti"])
    seen["assertions"].append({"alg": token.header["alg"], "kid": token.header.get("kid"), **token.claims})
    return token.claims


class JwtBearer(JWTBearerGrant):
    LEEWAY = 5

    def resolve_issuer_client(self, issuer):
        return Client() if issuer == wanted["client_id"] else None

    def resolve_client_public_key(self, client):
        return public_key()

    def process_assertion_claims(self, assertion):
        if algorithm == "PS256":
            return verified(assertion)
        claims = super().process_assertion_claims(assertion)
        verified(assertion)
        return claims

    def authenticate_user(self, subject):
        return subject if subject == wanted["subject"] else None

    def get_audiences(self):
        return wanted["audiences"]

    def has_granted_permission(self, client, user):
        return True


class Assertion(JWTBearerClientAssertion):
    """NetSuite's assertions name the client as issuer and have no subject, unlike RFC 7523; all else is as there."""

    def __call__(self, query_client, request):
        form = request.form
        if form.get("client_assertion_type") != self.CLIENT_ASSERTION_TYPE:
            return None
        _, claims = self.extract_assertion(form["client_assertion"])
        client = query_client(claims.get("iss"))
        if not client:
            raise InvalidClientError(description="The client does not exist on this server.")
        try:
            verified(form["client_assertion"])
        except (JoseError, ValueError) as error:
            raise InvalidClientError(description=str(error))
        return self.authenticate_client(client)


server = Server()
server.register_token_generator("default", BearerTokenGenerator(lambda *_, **__: generate_token(42)))
server.register_grant(ClientCredentials)
server.register_grant(JwtBearer)
server.register_client_auth_method("client_assertion_jwt", Assertion())


class Door(BaseHTTPRequestHandler):
    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        if self.path == "/seen":
            return self.answer(200, seen)
        self.api()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if not self.path.endswith(TOKEN_ENDPOINTS):
            return self.api()
        headers = {name.title(): value for name, value in self.headers.items()}
        request = Request("POST", f"http://127.0.0.1{self.path}", headers, dict(parse_qsl(body.decode())))
        try:
            status, answer = server.create_token_response(request)
        except (JoseError, ValueError) as error:
            status, answer = 400, {"error": "invalid_grant", "error_description": str(error)}
        if status == 200:
            seen["good"].append({"grant": request.form["grant_type"], "method": request.auth_method})
            answer.update(instance_url=f"http://{self.headers['host']}")
        else:
            seen["refused"].append(answer)
        self.answer(status, answer)

    def api(self):
        known = (self.headers.get("authorization") or "").removeprefix("Bearer ") in tokens
        seen["calls" if known else "strangers"] += 1
        self.answer(200 if known else 401, {"items": [], "data": [], "result": [], "total": 0, "totalResults": 0, "hasMore": False})

    def log_message(self, *_):
        pass


http = ThreadingHTTPServer(("127.0.0.1", 0), Door)
address = f"http://127.0.0.1:{http.server_address[1]}"
wanted["audiences"] = [audience.replace("{self}", address) for audience in wanted.get("audiences", [])]
print(address, flush=True)
http.serve_forever()
