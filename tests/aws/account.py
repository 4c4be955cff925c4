"""An account as a deployment may find it: what is in it, and stacks in every state.

In: a verb and a name; the endpoint and credentials from the environment. Out: one line per thing, sorted.
"""

import json
import sys
import time

import boto3

OURS = "tidemill: metrics as assets"
QUEUE = {"Queue": {"Type": "AWS::SQS::Queue"}}


def waits(seconds: int) -> dict:
    """Resources of which one waits for a sign that nobody gives."""
    wait = {"Handle": {"Ref": "Handle"}, "Timeout": str(seconds), "Count": 1}
    return {
        "Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"},
        "Wait": {"Type": "AWS::CloudFormation::WaitCondition", "Properties": wait},
    }


def template(resources: dict, description: str = OURS) -> str:
    return json.dumps({"Description": description, "Resources": resources})


def until(cloudformation, name: str, status: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        now = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        if now == status:
            return
        time.sleep(0.05)
    raise SystemExit(f"{name} is {now}, not {status}")


def make(cloudformation, name: str, resources: dict, status: str, description: str = OURS) -> None:
    cloudformation.create_stack(StackName=name, TemplateBody=template(resources, description))
    until(cloudformation, name, status)


def plan(cloudformation, name: str) -> None:
    cloudformation.create_change_set(
        StackName=name, ChangeSetName="left", ChangeSetType="CREATE", TemplateBody=template(QUEUE)
    )


def fill(name: str) -> None:
    """Data: an item, and more objects than one call removes."""
    key = {"p": {"B": b"p"}, "s": {"B": b"s"}}
    boto3.client("dynamodb").put_item(TableName=f"{name}-events", Item=key)
    store = boto3.client("s3")
    bucket = next(b["Name"] for b in store.list_buckets()["Buckets"] if b["Name"].startswith(f"{name}-0"))
    for number in range(1005):
        store.put_object(Bucket=bucket, Key=f"pages/{number:04}", Body=b"x")


def there(name: str) -> list[str]:
    """What is there of a stack's, with what tables and buckets hold."""
    dynamodb, store = boto3.client("dynamodb"), boto3.client("s3")
    lines = [f"function {f['FunctionName']}" for f in boto3.client("lambda").list_functions()["Functions"]]
    lines += [f"queue {url.rsplit('/', 1)[1]}" for url in boto3.client("sqs").list_queues().get("QueueUrls", [])]
    for table in dynamodb.list_tables()["TableNames"]:
        lines.append(f"table {table} {dynamodb.scan(TableName=table)['Count']}")
    for bucket in store.list_buckets()["Buckets"]:
        pages = store.get_paginator("list_objects_v2").paginate(Bucket=bucket["Name"])
        lines.append(f"bucket {bucket['Name']} {sum(page['KeyCount'] for page in pages)}")
    stacks = boto3.client("cloudformation").describe_stacks()["Stacks"]
    lines += [f"stack {s['StackName']} {s['StackStatus']}" for s in stacks if s["StackStatus"] != "DELETE_COMPLETE"]
    return sorted(line for line in lines if line.split()[1].startswith(name))


def main() -> None:
    verb, name = sys.argv[1:]
    cloudformation = boto3.client("cloudformation")
    match verb:
        case "busy":
            make(cloudformation, name, waits(600), "CREATE_IN_PROGRESS")
        case "half-made":
            make(cloudformation, name, waits(1), "ROLLBACK_COMPLETE")
        case "foreign":
            make(cloudformation, name, QUEUE, "CREATE_COMPLETE", "a shop")
        case "planned":
            plan(cloudformation, name)
        case "fill":
            fill(name)
        case "there":
            print("\n".join(there(name)))
        case _:
            raise SystemExit(f"unknown verb {verb}")


if __name__ == "__main__":
    main()
