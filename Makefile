# stemma. "make help" lists what can be made.

GO ?= go
TOOL = $(GO) tool -modfile=tools/go.mod

# The version that the binary states. Without one it states the commit it was
# built from, where git can be asked for it.
VERSION ?=
STAMP = $(if $(VERSION),-ldflags='-s -w -X main.version=$(VERSION)',-ldflags='-s -w')
BUILDVCS := $(shell git rev-parse --verify --quiet HEAD >/dev/null 2>&1 && echo true || echo false)

# How long "make fuzz" spends on each target, and how many inputs "make
# fuzz-smoke" tries on each.
FUZZTIME ?= 60s
FUZZSMOKE ?= 10000x

# Which tests "make soak" runs for long.
SOAK ?= Killed|Named|Mirror|InAnyOrder
SOAKPKG ?= ./internal/record ./internal/tlog/tessera ./internal/vault ./internal/reconcile

# Which benchmarks and packages "make bench" runs.
BENCH ?= .
PKG ?= ./...

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/stemma (VERSION=v1.2.3 to name a release)
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=$(BUILDVCS) $(STAMP) -o bin/ ./cmd/...

.PHONY: test
test: ## set up, build, lint and test everything: what CI runs
	@script/test

.PHONY: race
race: ## every test of every package under the race detector, for long
	$(GO) test -race -count=1 -timeout=1h ./...

.PHONY: lint
lint: ## formatting, vet, staticcheck, spelling
	@script/lint

.PHONY: bench
bench: ## run benchmarks (BENCH=name, PKG=./internal/git)
	$(GO) test -run='^$$' -bench='$(BENCH)' -benchmem $(PKG)

.PHONY: fuzz
fuzz: ## fuzz every target (FUZZTIME=60s each, FUZZ=name for some)
	@script/fuzz $(FUZZTIME) '$(FUZZ)'

.PHONY: fuzz-smoke
fuzz-smoke: ## fuzz every target for a moment (FUZZSMOKE=10000x)
	@script/fuzz $(FUZZSMOKE) '$(FUZZ)'

.PHONY: soak
soak: ## faults for long: hundreds of kills, every byte flipped (SOAK=Killed for one)
	STEMMA_SOAK=1 $(GO) test -count=1 -timeout=3h -v -run='$(SOAK)' $(SOAKPKG)
	STEMMA_SOAK=1 STEMMA_STEPS=1000 $(GO) test -count=1 -timeout=3h -v -run='Oracle|Named' ./cmd/stemma
	STEMMA_BURST=20000 $(GO) test -count=1 -timeout=1h -v -run='Burst' ./cmd/stemma-hook

.PHONY: cross
cross: ## build for the other systems and processors that releases are made for
	@script/cross

.PHONY: vuln
vuln: ## look for known vulnerabilities in what is used (asks vuln.go.dev)
	$(TOOL) govulncheck ./...

.PHONY: interop
interop: ## check what is exported with an unmodified cosign (the first run compiles it: minutes)
	@script/interop

.PHONY: fresh
fresh: ## run the README's shell commands as a newcomer would: fresh clone, empty home
	@script/fresh

.PHONY: clean
clean: ## remove what was built
	rm -rf bin dist
