"""How requests may arrive and what is refused at the door: methods, compressed and chunked bodies, JSON, odd paths."""

import gzip
import json
import zlib

import pytest

from workbench.scratch_org import ScratchOrgError


def error(reply):
    return reply.status_code, reply.json()[0]["errorCode"]


class TestMethods:
    def test_head_is_get_without_the_body(self, api):
        got, headed = api("GET", "sobjects/Lead/describe"), api("HEAD", "sobjects/Lead/describe")
        assert (headed.status_code, headed.content) == (200, b"")
        assert headed.headers["Content-Length"] == str(len(got.content))
        assert api("HEAD", "sobjects/Lead/00QSCR0zzzzzzzz").status_code == 404

    def test_a_method_that_is_not_served_names_the_others(self, api):
        reply = api("PUT", "sobjects/Lead/00QSCR000000101")
        assert error(reply) == (405, "METHOD_NOT_ALLOWED")
        assert reply.headers["Allow"] == "DELETE,GET,HEAD,PATCH"
        assert reply.json()[0]["message"] == "HTTP Method 'PUT' not allowed. Allowed are DELETE,GET,HEAD,PATCH"

    def test_post_in_place_of_another_method(self, api, lead):
        path = f"sobjects/Lead/{lead()}"
        assert api("POST", path, params={"_HttpMethod": "PATCH"}, json={"Title": "Buyer"}).status_code == 204
        assert api("GET", path).json()["Title"] == "Buyer"

    @pytest.mark.parametrize("version", ["30.0", "67.0", "64.5", "999.0", "9" * 5000 + ".0", "x"])
    def test_versions_that_are_not_served(self, api, version):
        assert api("GET", f"/services/data/v{version}/limits").status_code == (410 if version == "30.0" else 404)

    @pytest.mark.parametrize(
        "path", ["/services/data/v64.0/limits%0A", "//services/data", "/%0A", "/services/data/v64.0/a%2Fb%00"]
    )
    def test_odd_paths(self, api, path):
        assert error(api("GET", path)) == (404, "NOT_FOUND")


class TestBodies:
    @pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("GZIP", gzip.compress)])
    def test_compressed(self, api, lead, coding, pack):
        path = f"sobjects/Lead/{lead()}"
        body = pack(json.dumps({"Title": "Gestionnaire à Aïn"}).encode())
        headers = {"Content-Encoding": coding, "Content-Type": "application/json"}
        assert api("PATCH", path, data=iter([body[:9], body[9:]]), headers=headers).status_code == 204
        assert api("GET", path).json()["Title"] == "Gestionnaire à Aïn"

    @pytest.mark.parametrize(
        ("coding", "body", "expected"),
        [
            ("gzip", b"plain", (400, "MALFORMED_BODY")),
            ("gzip", gzip.compress(b'{"Title": "cut off"}')[:-12], (400, "MALFORMED_BODY")),
            ("gzip", gzip.compress(bytes(160 * 2**20), 1), (413, "REQUEST_ENTITY_TOO_LARGE")),
            ("br", b"{}", (415, "UNSUPPORTED_MEDIA_TYPE")),
        ],
        ids=["not compressed", "cut off", "too long when unpacked", "unknown"],
    )
    def test_compressed_wrongly(self, api, coding, body, expected):
        assert error(api("POST", "sobjects/Lead", data=body, headers={"Content-Encoding": coding})) == expected

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"nonsense",
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b'{"LastName":' + b"[" * 101 + b"]" * 101 + b"}",
            b'{"LastName": NaN}',
            b'{"LastName": ' + b"9" * 5000 + b"}",
            b'{"LastName": "\\ud800"}',
            b'{"LastName": "\xed\xa0\x80"}',
            b'{"LastName": "\xff"}',
            '{"LastName": "\\udfff"}'.encode("utf-16"),
            b'{"LastName": {"a": [1e400]}}',
        ],
    )
    def test_json_that_cannot_be_read(self, api, body):
        for method, path in (
            ("POST", "sobjects/Lead"),
            ("POST", "composite"),
            ("PATCH", "composite/sobjects"),
            ("POST", "jobs/query"),
        ):
            status, code = error(api(method, path, data=body))
            assert status == 400, (path, code)
            assert code in ("JSON_PARSER_ERROR", "INVALIDOPERATION"), path

    def test_odd_text_is_kept(self, api, lead):
        for text in ("\U0001f600", "a\u2028b", "\ufeff", "Å\u0301"):
            record_id = lead(Title=text)
            assert api("GET", f"sobjects/Lead/{record_id}").json()["Title"] == text


class TestControlOrders:
    @pytest.mark.parametrize(
        ("path", "order"),
        [
            ("/clock", {"advance": 1e300}),
            ("/clock", {"at": "9999-12-31T23:59:59Z"}),
            ("/limits", {"max": "many"}),
            ("/limits", {"used": -1}),
            ("/bulk", {"polls": None}),
            ("/write", {"object": "Lead", "values": [1]}),
            ("/delete", {"object": "User", "id": "005SCR000000001"}),
            ("/merge", {"object": "Lead", "master": "00QSCR000000101", "loser": "00QSCR000000101"}),
            ("/faults", {"plan": [{"kind": "slow", "on": "GET .", "seconds": "long"}]}),
            ("/faults", {"plan": [{"kind": "html", "on": "GET .", "status": 99_999}]}),
            ("/faults", {"plan": [{"kind": "lock", "on": "GET .", "ids": 5}]}),
            ("/faults", {"rate": 0.5, "kinds": ["503"], "options": {"503": {"retry_after": "soon\n"}}}),
            ("/hooks", {"before": "GET .", "do": 5}),
            ("/hooks", {"before": "GET .", "do": [{"nothing": {}}]}),
        ],
    )
    def test_a_wrong_order_is_refused_when_it_is_given(self, org, api, path, order):
        with pytest.raises(ScratchOrgError, match=f"{path}: "):
            org.control(path, order)
        assert api("GET", "limits").status_code == 200
