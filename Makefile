# `make` lists the commands. What CI runs stands in .ci/ and is only called from here.
.DEFAULT_GOAL := help
.PHONY: help run test lint fmt arrows dependencies fuzz openapi moto build bench validate e2e browser clients pictures ci \
	deploy doctor clean

# Which part of samconfig.toml: default, staging or prod.
CONFIG ?= default
# A deployed stack; the one that `make run` started, if there is none.
STACK ?=
# More arguments for what is called.
ARGS ?=

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## the whole API on this machine; ARGS="--port 4000"
	cargo run -- $(ARGS)

test: ## the tests that need nothing else; ARGS="--test api -- round_trips" for some of them
	.ci/test $(ARGS)

lint: ## format and clippy
	.ci/lint

fmt: ## formats the code
	cargo fmt --all
	cargo fmt --manifest-path fuzz/Cargo.toml

arrows: ## which module stands on which, and that none stands on one it must not
	cargo test -p tests --test architecture -- --nocapture

dependencies: ## licences, bans, sources and advisories of the dependencies
	.ci/dependencies

fuzz: ## made-up events for two functions; ARGS=-max_total_time=600 for longer
	.ci/fuzz $(ARGS)

openapi: ## openapi.yaml against what is really answered
	.ci/openapi

moto: ## the tests against a second DynamoDB and Secrets Manager
	.ci/moto

build: ## the functions as they are deployed
	.ci/build --config-env $(CONFIG)

bench: build ## cold and warm times of the functions, and what calls cost in large stores (on Linux)
	cargo bench -p tests

validate: ## the templates, as the SAM CLI, cfn-lint and checkov see them, and the workflows, as zizmor does
	.ci/template
	.ci/workflows

e2e: ## build, deploy to a local AWS and call what was deployed; ARGS="-k operating" for some of it
	e2e/run $(ARGS)

browser: ## pages of several origins in Chromium, against what `make run` starts
	.ci/browser

pictures: ## those of docs/pictures anew; with Chromium, and while `make run` is not running
	cargo test --workspace --locked --no-run --quiet
	.ci/npm browser e2e/browser
	node docs/pictures/make.mjs

clients: ## generated clients and a storefront, against what `make run` starts; ARGS=--write generates them again
	.ci/clients $(ARGS)

ci: ## everything that must hold before a change lands
	.ci/run

deploy: build ## to AWS, with your credentials; CONFIG=prod, ARGS=--guided the first time
	target/e2e/bin/sam deploy --config-env $(CONFIG) $(ARGS)

doctor: ## checks what `make run` started, from end to end; STACK=b2b-auth for a deployed stack
	cargo run --package admin -- $(if $(STACK),--stack-name $(STACK),--local) doctor $(ARGS)

clean: ## removes what was built
	cargo clean
	rm -rf .aws-sam .schemathesis
