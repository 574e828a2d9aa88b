"""An S3 that holds nothing but the prefixes of many silent accounts, and an STS that lets everybody in.

    only_lists.py PORT ACCOUNTS one|each

`one`: all accounts in one bucket; `each`: a bucket for each account, whose name ends with the account's id. Every account has
17 regions with log files on thirty days, all long ago; asked for the objects of a region, it has none. `/counts` tells the
requests so far. For tests/benches/idle_agent.sh.
"""

import collections
import datetime
import http.server
import json
import socketserver
import sys
import urllib.parse
import xml.sax.saxutils

PORT, ACCOUNTS, LAYOUT = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
REGIONS = """ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-southeast-1 ap-southeast-2 ca-central-1 eu-central-1
    eu-north-1 eu-west-1 eu-west-2 eu-west-3 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2""".split()
DAYS = [f"2020/{month:02}/{day:02}" for month in (9, 10) for day in range(1, 16)]
ALL = [f"{number + 1:012}" for number in range(ACCOUNTS)]
PAGE = 1000
counts = collections.Counter()


def common_prefixes(bucket, prefix, delimiter):
    """What lies below the prefix, rolled up."""
    parts = prefix.split("/")
    if delimiter == "_":
        counts["sweep"] += 1
        return [f"{prefix}{region}/{day}/{parts[1]}_" for region in REGIONS for day in DAYS]
    if delimiter != "/":
        counts["list"] += 1
        return []
    counts["walk"] += 1
    accounts = ALL if LAYOUT == "one" else [bucket[-12:]]
    below = {1: ["AWSLogs"], 2: accounts, 3: ["CloudTrail"], 4: REGIONS}
    return [f"{prefix}{name}/" for name in below.get(len(parts), [])]


def listing(bucket, query):
    prefix, after = query.get("prefix", ""), query.get("start-after", "")
    found = [name for name in common_prefixes(bucket, prefix, query.get("delimiter")) if name > after]
    begin = int(query.get("continuation-token") or 0)
    page, more = found[begin : begin + PAGE], begin + PAGE < len(found)
    text = "".join(f"<CommonPrefixes><Prefix>{xml.sax.saxutils.escape(name)}</Prefix></CommonPrefixes>" for name in page)
    token = f"<NextContinuationToken>{begin + PAGE}</NextContinuationToken>" if more else ""
    return (
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>{bucket}</Name><Prefix>{prefix}</Prefix><KeyCount>{len(page)}</KeyCount><MaxKeys>{PAGE}</MaxKeys>"
        f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{text}</ListBucketResult>"
    )


def credentials():
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    return (
        '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>'
        "<AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>"
        f"<Expiration>{until:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
    )


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, body, kind="application/xml"):
        body = body.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("x-amz-bucket-region", "us-east-1")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self):
        counts["head"] += 1
        self.answer("")

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        counts["sts"] += 1
        self.answer(credentials(), "text/xml")

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/counts":
            return self.answer(json.dumps(counts), "application/json")
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        return self.answer(listing(url.path.strip("/").split("/")[0], query))


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 512


Server(("127.0.0.1", PORT), Handler).serve_forever()
