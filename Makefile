# `make demo` and `make test` need only Python 3.11 to 3.13, or uv, which brings it. Both create .venv first, once.
UV := $(shell command -v uv)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.DEFAULT_GOAL := help
.PHONY: help install demo sweep-demo study-demo test test-slow check format docs benchmark clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

EXTRAS := cpu,hub,lora,fastgen,optuna,joblib,slurm,ray,remote,mteb,ir_datasets,lancedb,qdrant,docs,dev

REFUSE = import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else \
  f"xdr needs Python 3.11, 3.12 or 3.13; this is {v[0]}.{v[1]}" + ", where Hydra 1.3 does not start" * (v > (3, 13)) + \
  ". Remove .venv if it is there, then: make PYTHON=python3.13 ...; or install uv (pip install uv), which brings a Python that fits")

# The stamp is newer than both files after an installation, so a second call installs nothing. An interrupted one leaves no stamp.
# PYTHON chooses the interpreter. Without it, uv takes one that pyproject.toml allows.
$(INSTALLED): pyproject.toml constraints.txt
	@echo "Installing into $(VENV): half a minute to two minutes with uv, two to seven with pip. Nothing more is said until it ends."
ifdef UV
	test -e $(BIN)/python || uv venv --quiet --seed $(if $(PYTHON),--python $(PYTHON)) $(VENV)
	@$(BIN)/python -c '$(REFUSE)'
	uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[$(EXTRAS)]'
else
	@$(or $(PYTHON),python3) -c '$(REFUSE)'
	$(or $(PYTHON),python3) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(EXTRAS)]'
endif
	@touch $@
	@echo "Installed. For the commands of the documents: . $(BIN)/activate"

install: $(INSTALLED) ## create .venv and install everything there

# MODEL is an encoder's folder or its name on the hub. It takes the place of the encoder that the demo trains.
demo: $(INSTALLED) ## run every step on the sample collection; MODEL=NAME: with a pretrained encoder
ifndef MODEL
	$(BIN)/python train.py experiment=sample_bi_encoder output_dir=outputs/demo/train
endif
	$(BIN)/python train.py experiment=sample_generator output_dir=outputs/demo/generator
	$(BIN)/python evaluate.py experiment=sample_generation checkpoint=outputs/demo/generator output_dir=outputs/demo/questions
ifdef MODEL
	$(BIN)/python evaluate.py experiment=sample_evaluation checkpoint=$(MODEL) \
	  augmentation.source=outputs/demo/questions output_dir=outputs/demo/evaluation_of_model
else
	$(BIN)/python evaluate.py experiment=sample_evaluation checkpoint=outputs/demo/train \
	  augmentation.source=outputs/demo/questions output_dir=outputs/demo/evaluation
	@echo "With a pretrained encoder, by its folder or its name on the hub: make demo MODEL=BAAI/bge-m3"
endif

# Uses the output of `make demo`, or makes a quick encoder and quick queries.
ENCODER := $(if $(wildcard outputs/demo/train/encoder),outputs/demo/train,outputs/sweep-demo/train)
QUESTIONS := $(if $(wildcard outputs/demo/questions/generated.json),outputs/demo/questions,outputs/sweep-demo/questions)

sweep-demo: $(INSTALLED) $(ENCODER)/encoder $(QUESTIONS)/generated.json ## vary alpha, number of queries and languages on the sample
	$(BIN)/python evaluate.py experiment=sample_sweep checkpoint=$(ENCODER) augmentation.source=$(QUESTIONS) output_dir=outputs/sweep-demo/sweep
	$(BIN)/python evaluate.py stage=sweep output_dir=outputs/sweep-demo/sweep

study-demo: $(INSTALLED) ## a small study on the sample: do mistyped training questions help?
	$(BIN)/python train.py study=sample_study_train
	$(BIN)/python evaluate.py study=sample_study
	$(BIN)/python evaluate.py stage=sweep output_dir=outputs/study/sample/test

outputs/sweep-demo/train/encoder: | $(INSTALLED)
	$(BIN)/python train.py experiment=sample_bi_encoder trainer.max_epochs=6 output_dir=outputs/sweep-demo/train

outputs/sweep-demo/questions/generated.json: | $(INSTALLED)
	$(BIN)/python train.py experiment=sample_generator trainer.max_epochs=2 output_dir=outputs/sweep-demo/generator
	$(BIN)/python evaluate.py experiment=sample_generation checkpoint=outputs/sweep-demo/generator \
	  'augmentation.generation.languages=[fi,ja,ru]' augmentation.generation.number=3 augmentation.generation.refuse=[] \
	  output_dir=outputs/sweep-demo/questions

check: $(INSTALLED) ## run ruff, mypy and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check ## run the checks and the tests
	$(BIN)/pytest --numprocesses 2 --dist worksteal

test-slow: $(INSTALLED) ## run the slow tests: kills, large collections, documented commands
	$(BIN)/pytest -m slow --timeout=3000

format: $(INSTALLED) ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(INSTALLED) ## build the documentation as a site, in outputs/site/html
	$(BIN)/python -m sphinx -M html . outputs/site -c docs -E -W --keep-going -q
	@echo "The site is outputs/site/html/index.html"

benchmark: $(INSTALLED) ## measure speed and memory, as in docs/benchmarks.md
	$(BIN)/python benchmarks/collection.py
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/generation.py
	$(BIN)/python benchmarks/evaluation.py

clean: ## remove the environment and all outputs
	rm -rf $(VENV) outputs
