# `make help` lists the targets. Everything builds with one profile, so dependencies are compiled
# once. One command builds both programs, because building one of them alone would select other
# features of its dependencies and compile these again.

.DEFAULT_GOAL := help
# `make install` puts the programs into $(PREFIX)/bin.
PREFIX ?= $(HOME)/.local
# `make report-check` opens this report, and the book where `make docs` has built it.
REPORT ?= results/quickstart/report.html
.PHONY: help libtorch build install reproduce test fuzz bench bench-orchestrator gpu-check slurm-check \
	lint format recipe-reference docs code-docs wheel python-check readme-check report-check licences \
	clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

libtorch: ## find or fetch libtorch (into .libtorch)
	@./scripts/libtorch

build: libtorch ## build surgcam and surgcam-worker
	@cargo build -p surgcam -p surgcam-worker

install: build ## put both programs on the PATH (~/.local/bin; PREFIX=/usr/local for another place)
	@./scripts/install "$(PREFIX)/bin"

reproduce: build ## draw sample data, run experiments/quickstart.toml and print its tables
	@./scripts/run-built surgcam run quickstart

test: build ## build and run every test
	@cargo test --workspace
	@./scripts/python-check

python-check: build ## test the Python side (a part of `make test`)
	@./scripts/python-check

readme-check: build ## run the commands of README and book in order (QUICK=--quick: one epoch each)
	@./scripts/readme-check $(QUICK)

report-check: ## open the quickstart's report (REPORT=FILE) and the book in a headless browser, and try them
	@./scripts/report-check $(REPORT) $(wildcard target/book)

wheel: build ## pack both programs and the Python side into a wheel, in target/wheels
	@./scripts/wheel

licences: ## check the licences of all crates that are in the programs
	@./scripts/licences

fuzz: libtorch ## try 20,000 mutated inputs of each kind (SURGCAM_FUZZ_CASES, SURGCAM_FUZZ_SEED)
	@SURGCAM_FUZZ_CASES=$${SURGCAM_FUZZ_CASES:-20000} cargo test --workspace fuzz

bench: build ## measure extraction, decoding and training beside other programs, on a GPU if there is one
	@./scripts/run-built surgcam bench strategies
	@python3 benches/strategies.py

bench-orchestrator: build ## measure plans, no-ops and sweeps beside DVC and Snakemake
	@./scripts/run-built surgcam bench orchestrator
	@python3 benches/orchestrators.py

gpu-check: build ## prove surgcam on a GPU: self-test, speed beside the peers, training, tables (8 minutes)
	@./scripts/gpu-check --programs "$${CARGO_TARGET_DIR:-target}/debug"

slurm-check: build ## run experiments through a Slurm of its own on this machine, faults and all (12 minutes)
	@./scripts/slurm-check --programs "$${CARGO_TARGET_DIR:-target}/debug"

lint: libtorch ## formatting and clippy, as CI checks them
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets -- -D warnings

format: ## format the code
	@cargo fmt --all

recipe-reference: build ## write docs/recipe.schema.json and the tables of keys in docs/recipes.md again
	@./scripts/run-built surgcam schema > docs/recipe.schema.json.new \
		&& mv docs/recipe.schema.json.new docs/recipe.schema.json
	@./scripts/run-built surgcam schema --markdown docs/recipes.md

docs: ## the documentation as a book with search, in target/book
	@./scripts/book

code-docs: libtorch ## the code's own documentation, in target/doc
	@cargo doc --workspace --no-deps --document-private-items

clean: ## remove what the build made (not results, store or libtorch)
	@cargo clean
