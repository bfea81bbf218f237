"""What was refused, as a page: why, and what to do, in the words that the API has for it.

Whoever is not logged in is asked to. A form that was refused stays as it is, with the reason above
it: the page's script asks for that part alone.
"""

from collections.abc import Mapping
from http.client import FORBIDDEN
from typing import Any

from flask import current_app, redirect, request, url_for
from werkzeug import Response
from werkzeug.exceptions import HTTPException

from v6srv.api import guard
from v6srv.authz.offers import Offers
from v6srv.authz.principal import Principal
from v6srv.console import chrome
from v6srv.console.blueprint import PARTS, blp, render
from v6srv.errors import BadToken, NotFound, Unauthenticated
from v6srv.identity import current, page_session
from v6srv.policy.who import administrators
from v6srv.wire import errors


@blp.app_errorhandler(404)
def _unknown(error: HTTPException) -> Response | HTTPException:
    """Of paths that are of no view, only those of the console get a page."""
    is_here = f"{request.path}/".startswith(f"{blp.url_prefix}/")
    return show(NotFound("There is no such page")) if is_here else errors.answer(error)


@blp.errorhandler(Exception)
def show(error: Exception) -> Response | HTTPException:
    """The page of an error; whoever is not logged in is led there."""
    if isinstance(error, (Unauthenticated, BadToken)):
        return page_session.forget(_to_log_in())
    return tell(error)


def tell(error: Exception) -> Response | HTTPException:
    """The page of an error."""
    answer = errors.answer(error)
    if not isinstance(answer, Response) or answer.status_code < 400:
        return answer
    who, alone = current.principal(), PARTS in request.headers
    around = chrome.of_nobody() if who is None else _around(who)
    helpers = _whom_to_ask() if answer.status_code == FORBIDDEN else {}
    shown = render("refused.html", around, refused=answer.get_json(), alone=alone, **helpers)
    answer.set_data(shown)
    answer.content_type = "text/html; charset=utf-8"
    if alone:
        answer.headers["HX-Push-Url"] = "false"
    return answer


def _around(who: Principal) -> Mapping[str, Any]:
    authz = guard.authorizer()
    return chrome.of(who, authz, Offers(authz.store, who))


def _whom_to_ask() -> dict[str, Any]:
    """Who could give the right: what was to be done is over, and nothing of it stays."""
    settings, who = current_app.config["SETTINGS"], current.principal()
    asked = [] if who is None else administrators.whom_to_ask(guard.authorizer(), who)
    return {"administrators": asked, "support": settings.support_email or settings.smtp.username}


def _to_log_in() -> Response:
    wanted = request.full_path.rstrip("?") if request.method == "GET" else ""
    values = {"next": wanted} if wanted else {}
    values |= {"over": "1"} if page_session.COOKIE in request.cookies else {}
    url = url_for("console.log_in", **values)
    if PARTS not in request.headers:
        return redirect(url, 303)
    return Response(status=204, headers={"HX-Redirect": url})
