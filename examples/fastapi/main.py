"""An upstream behind session-gateway: it trusts what the gateway says about the caller, and nobody else.

Every request but /health must carry the internal key, which only the gateway and this service know, and the
X-User-ID header, which the gateway writes after it has checked the session and removed the client's own copies.
With GATEWAY_JWKS_URL set, the signed X-Gateway-Assertion is checked as well.

Environment: INTERNAL_API_KEY (or INTERNAL_API_KEY_FILE); optional GATEWAY_JWKS_URL, GATEWAY_ISSUER, GATEWAY_AUDIENCE.
Runs on Python 3.9 with FastAPI 0.92 / pydantic 1 and on everything newer.
"""
import hmac
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional
from urllib.parse import unquote

import jwt
from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel


def secret(name: str) -> str:
    path = os.environ.get(f"{name}_FILE")
    value = Path(path).read_text().strip() if path else os.environ.get(name, "")
    if not value:
        # An empty key would make every caller with an empty key trusted: refuse to start instead.
        raise RuntimeError(f"{name} is not set")
    return value


INTERNAL_API_KEY = secret("INTERNAL_API_KEY")
JWKS_URL = os.environ.get("GATEWAY_JWKS_URL")
JWKS = jwt.PyJWKClient(JWKS_URL) if JWKS_URL else None
ISSUER = os.environ.get("GATEWAY_ISSUER", "http://localhost:8080")
AUDIENCE = os.environ.get("GATEWAY_AUDIENCE", "orders")


@dataclass(frozen=True)
class Caller:
    """Who the request acts for, as the gateway proved it. The id is an opaque string, whatever it looks like."""

    user_id: str
    email: Optional[str]
    roles: List[str]


def refuse(detail: str) -> HTTPException:
    return HTTPException(status_code=401, detail=detail, headers={"WWW-Authenticate": "Bearer"})


async def from_gateway(request: Request) -> Caller:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise refuse("Missing API key")
    # compare_digest takes the same time wherever the first difference is; on bytes, as it refuses non-ASCII text.
    if not hmac.compare_digest(key.encode(), INTERNAL_API_KEY.encode()):
        raise refuse("Invalid API key")
    user_id = request.headers.get("X-User-ID")
    if not user_id:
        raise refuse("Missing user ID")
    email = request.headers.get("X-User-Email")
    roles = [role for role in request.headers.get("X-User-Roles", "").split(",") if role]
    # Headers are ASCII; the gateway percent-encodes the rest.
    return Caller(unquote(user_id), unquote(email) if email else None, [unquote(role) for role in roles])


def with_assertion(request: Request, caller: Caller = Depends(from_gateway)) -> Caller:
    """Not async on purpose: fetching the keys blocks, and FastAPI runs a plain function in a thread."""
    assertion = request.headers.get("X-Gateway-Assertion")
    if not assertion:
        raise refuse("Missing assertion")
    try:
        key = JWKS.get_signing_key_from_jwt(assertion).key
        claims = jwt.decode(
            assertion,
            key,
            # Named here, never taken from the token: RFC 8725, section 3.1.
            algorithms=["EdDSA"],
            audience=AUDIENCE,
            issuer=ISSUER,
            leeway=5,
            options={"require": ["exp", "iat", "iss", "aud", "sub"]},
        )
    except jwt.PyJWKClientError as error:
        if isinstance(error.__context__, OSError):
            # We cannot know: that is our trouble, not the caller's.
            raise HTTPException(status_code=503, detail="Keys of the gateway cannot be fetched") from error
        raise refuse("Invalid assertion") from error
    except jwt.InvalidTokenError as error:
        raise refuse("Invalid assertion") from error
    if claims["sub"] != caller.user_id:
        raise refuse("Invalid assertion")
    return caller


current_caller = with_assertion if JWKS else from_gateway


def require_role(role: str):
    """The gateway refuses first; this holds on the day a route is forgotten there."""

    async def check(caller: Caller = Depends(current_caller)) -> Caller:
        if role not in caller.roles:
            raise HTTPException(status_code=403, detail="Insufficient role")
        return caller

    return check


class NewOrder(BaseModel):
    item: str


app = FastAPI(title="orders")
orders: Dict[str, List[dict]] = {}


@app.get("/health")
async def health():
    """For the gateway's probe; says nothing about anybody."""
    return {"status": "ok"}


@app.get("/api/profile")
async def profile(caller: Caller = Depends(current_caller)):
    return {"user_id": caller.user_id, "email": caller.email, "roles": caller.roles}


@app.get("/api/orders")
async def list_orders(caller: Caller = Depends(current_caller)):
    return {"user_id": caller.user_id, "orders": orders.get(caller.user_id, [])}


@app.post("/api/orders", status_code=201)
async def create_order(order: NewOrder, caller: Caller = Depends(current_caller)):
    mine = orders.setdefault(caller.user_id, [])
    mine.append({"id": len(mine) + 1, "item": order.item})
    return mine[-1]


@app.get("/api/orders/admin/all")
async def list_all_orders(caller: Caller = Depends(require_role("admin"))):
    return {"orders": orders}


@app.get("/api/admin/health")
async def admin_health(caller: Caller = Depends(require_role("admin"))):
    return {"status": "ok", "user_id": caller.user_id}
