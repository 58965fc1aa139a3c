#!/usr/bin/env python3
"""Writes the schemas of custom resources that the chart can make into schemas/, from the Go modules that publish them.

    crd-schemas.py          needs go and PyYAML; chart-validate.py reads the result

Without descriptions and rules in CEL, which a JSON schema cannot say. Unknown keys are refused, as with `kubectl apply`.
"""

import json
import pathlib
import subprocess

import yaml

SOURCES = {
    "sigs.k8s.io/gateway-api@v1.4.1": ["config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"],
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": [
        "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ],
    "github.com/kedacore/keda/v2@v2.20.2": ["config/crd/bases/keda.sh_scaledobjects.yaml"],
    "github.com/cert-manager/cert-manager@v1.21.2": ["deploy/crds/cert-manager.io_certificates.yaml"],
}
# Of a schema in a CRD; all other keys are for the API server.
KEPT = {"type", "format", "enum", "required", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems",
        "default", "additionalProperties", "items", "properties", "anyOf", "oneOf", "allOf", "not"}


def strict(schema):
    """The schema without descriptions, and with unknown keys refused."""
    if not isinstance(schema, dict):
        return schema
    result = {key: value for key, value in schema.items() if key in KEPT}
    for key in ("items", "additionalProperties", "not"):
        if key in result:
            result[key] = strict(result[key])
    for key in ("anyOf", "oneOf", "allOf"):
        if key in result:
            result[key] = [strict(each) for each in result[key]]
    if "properties" in result:
        result["properties"] = {name: strict(each) for name, each in result["properties"].items()}
        if result.get("type") == "object" and not schema.get("x-kubernetes-preserve-unknown-fields"):
            result.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        result["type"] = ["integer", "string"]
        result.pop("anyOf", None)
    return result


def main():
    folder = pathlib.Path(__file__).parent / "schemas"
    folder.mkdir(exist_ok=True)
    for module, files in SOURCES.items():
        told = subprocess.run(["go", "mod", "download", "-json", module], check=True, capture_output=True, text=True).stdout
        for file in files:
            crd = yaml.safe_load((pathlib.Path(json.loads(told)["Dir"]) / file).read_text())
            names = crd["spec"]["names"]
            for version in crd["spec"]["versions"]:
                if not version["served"] or version["name"] == "v1beta1":
                    continue
                schema = strict(version["schema"]["openAPIV3Schema"])
                schema["properties"]["metadata"] = {"type": "object"}
                schema = {"$comment": f"{module} {file}, Apache-2.0; written by crd-schemas.py", **schema}
                path = folder / f"{crd['spec']['group']}_{version['name']}_{names['kind']}.json"
                path.write_text(json.dumps(schema, separators=(",", ":")) + "\n")
                print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
