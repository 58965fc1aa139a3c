#!/usr/bin/env python3
"""Validates rendered manifests strictly: a wrong type, a missing or an unknown key is an error.

    helm template … | chart-validate.py KUBERNETES_VERSION       for example 1.30

Kinds of Kubernetes are validated by kubernetes-validate, custom resources by schemas/ (see crd-schemas.py). A kind that neither
knows is an error, so that no resource goes unchecked in silence.
"""

import json
import pathlib
import sys

import jsonschema
import kubernetes_validate
import yaml

SCHEMAS = pathlib.Path(__file__).parent / "schemas"


def problems(resource, version):
    """What is wrong with one resource, as sentences."""
    group, _, api_version = resource["apiVersion"].rpartition("/")
    schema = SCHEMAS / f"{group}_{api_version}_{resource['kind']}.json"
    if schema.exists():
        validator = jsonschema.Draft7Validator(json.loads(schema.read_text()))
        return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in validator.iter_errors(resource)]
    try:
        kubernetes_validate.validate(resource, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'.'.join(map(str, error.path))}: {error.message}"]
    except (kubernetes_validate.SchemaNotFoundError, kubernetes_validate.InvalidSchemaError) as error:
        return [f"no schema of this kind: {error}"]
    return []


def main():
    version, seen, wrong = sys.argv[1], set(), 0
    for resource in yaml.safe_load_all(sys.stdin):
        if resource is None:
            continue
        name = f"{resource['kind']} {resource['metadata']['name']}"
        found = problems(resource, version)
        if (resource["apiVersion"], name) in seen:
            found.append("is rendered twice")
        seen.add((resource["apiVersion"], name))
        for problem in found:
            print(f"{name}: {problem}", file=sys.stderr)
        wrong += len(found)
    if not seen:
        print("nothing was rendered", file=sys.stderr)
    sys.exit(1 if wrong or not seen else 0)


if __name__ == "__main__":
    main()
