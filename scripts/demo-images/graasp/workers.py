"""A stand-in for Graasp's workers: takes jobs from Redis, and says that it is alive."""

import os
import sys
import time

import redis


def main() -> None:
    queue = redis.from_url(os.environ["REDIS_CONNECTION"], socket_timeout=10)
    print(f"workers {os.environ['APP_VERSION']} waiting for jobs", flush=True)
    while True:
        try:
            job = queue.blpop("jobs", timeout=5)
        except redis.exceptions.ConnectionError:
            # Redis away is survived, as by the real workers.
            time.sleep(1)
            continue
        if job:
            print(f"did {job[1].decode(errors='replace')}", flush=True)


if __name__ == "__main__":
    for setting in ("DB_CONNECTION", "REDIS_CONNECTION", "MAILER_CONNECTION", "JWT_SECRET"):
        if not os.environ.get(setting):
            sys.exit(f"{setting} is not defined")
    main()
