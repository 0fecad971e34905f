"""`python -m standin`: run the stand-in until SIGTERM or SIGINT."""

import argparse
import os
import signal
import sys
from pathlib import Path


def main() -> int:
    options = _options()
    # moto reads these when it is imported; every key of ours belongs to the trail's account.
    os.environ["MOTO_ACCOUNT_ID"] = options.trail_account
    from standin.journal import WrongData
    from standin.server import Server

    try:
        server = Server(
            port=options.port,
            trail_bucket=options.trail_bucket,
            trail_account=options.trail_account,
            trail_every=options.trail_every,
            region=options.region,
            data=options.data,
            tamper=options.allow_tampering,
        )
    except (OSError, WrongData) as error:
        print(f"stand-in cannot start: {error}", file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.stop())
    print(f"stand-in for S3 ready {server.url}", flush=True)
    server.serve()
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m standin", description="Guarded stand-in for S3, KMS and CloudTrail"
    )
    parser.add_argument("--port", type=int, default=5555, help="on 127.0.0.1; 0 takes any free port")
    parser.add_argument("--trail-bucket", default="gxp-trail", help="where log files are delivered; made if missing")
    parser.add_argument("--trail-account", default="111122223333", help="the account that everything belongs to")
    parser.add_argument(
        "--trail-every",
        type=float,
        default=10,
        metavar="SECONDS",
        help="time between two deliveries; 0: when asked only",
    )
    parser.add_argument("--region", default="eu-central-1")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep everything here between two starts")
    parser.add_argument("--allow-tampering", action="store_true", help="answer POST /standin/tamper (tests only)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
