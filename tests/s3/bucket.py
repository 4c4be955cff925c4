"""A bucket on this machine: moto's S3 with a folder's files in it.

In: a bucket's name and a folder. Out: the endpoint, as one line, once every file is there. It serves until its standard
input ends, so that it never outlives whoever started it.
"""

import logging
import pathlib
import sys

import boto3
from moto.server import ThreadedMotoServer


def main() -> None:
    bucket, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # Port 0: any that is free.
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://%s:%s" % server.get_host_and_port()
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_bucket(Bucket=bucket)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            client.upload_file(str(path), bucket, path.relative_to(folder).as_posix())
    print(endpoint, flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main()
