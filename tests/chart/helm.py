"""Lints or renders a chart with Helm's own library, and checks every object against Kubernetes' schemas.

    helm.py lint CHART [VALUES]     what Helm has to say; fails where it is more than information
    helm.py render CHART [VALUES]   the objects and the notes, as JSON; fails where the values do not fit the schema
    helm.py upgrade CHART [VALUES]  the same, for an upgrade
    helm.py objects FILE            the objects of a manifest, as JSON
    helm.py check VERSION           the objects on standard input, as JSON, against that version of Kubernetes
"""

import json
import os
import sys

import yaml


def values(words):
    return yaml.safe_load(open(words[0])) if words else {}


def lint(path, *words):
    import helm_python.chart

    said = helm_python.chart.lint(path, values(words))
    print(json.dumps(said))


def render(path, *words, upgrade=False):
    import helm_python.chart

    with helm_python.chart.Chart.load(path) as chart:
        chart.validate_schema(chart.merge_values(values(words)))
        options = {"name": "cache", "namespace": os.environ.get("CHART_NAMESPACE", "data")}
        rendered = chart.render(values=values(words), is_install=not upgrade, is_upgrade=upgrade, **options)
    notes = next(text for name, text in rendered.items() if name.endswith("NOTES.txt"))
    texts = [text for name, text in rendered.items() if name.endswith(".yaml")]
    print(json.dumps({"notes": notes, "objects": [item for text in texts for item in items(text)]}))


def upgrade(path, *words):
    render(path, *words, upgrade=True)


def items(text):
    return [item for item in yaml.safe_load_all(text) if item]


def objects(path):
    print(json.dumps(items(open(path).read())))


def check(version):
    import kubernetes_validate

    for item in json.load(sys.stdin):
        try:
            kubernetes_validate.validate(item, version, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            print("no schema:", item["apiVersion"], item["kind"])
        except kubernetes_validate.ValidationError as error:
            sys.exit(f"{item['kind']} {item['metadata']['name']}: {error.message} at {list(error.path)}")


if __name__ == "__main__":
    commands = {"lint": lint, "render": render, "upgrade": upgrade, "objects": objects, "check": check}
    commands[sys.argv[1]](*sys.argv[2:])
