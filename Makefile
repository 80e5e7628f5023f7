# What people type most. `make help` lists it.
.PHONY: module help demo build test slowest bench bench-many load manifest lint shape screenshots recording

help: ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

demo: ## a small Slack in the browser, with the app in it
	go run ./cmd/switchboard demo

build: ## a static binary in bin/
	CGO_ENABLED=0 go build -trimpath -o bin/switchboard ./cmd/switchboard

test: ## all tests that this machine can run (PostgreSQL: set TEST_DATABASE_URL)
	go test ./...

slowest: ## the time of each package, and the tests that take longest
	go test -count=1 -json ./... | sed -nE 's/.*"Action":"(pass|fail)","Package":"([^"]*)"(,"Test":"([^"]*)")?,"Elapsed":([0-9.]+).*/\5 \2 \4/p' \
		| awk '{ of = $$3; while (sub("/[^/]*$$", "", of)) whole[$$2 " " of]; line[$$2 " " $$3] = $$0 } \
		END { for (t in line) if (!(t in whole)) print line[t] }' | sort -rn | head -n 25

bench: ## benchmarks, with allocations (PostgreSQL: set TEST_DATABASE_URL)
	go test -short -run '^$$' -bench . -benchmem ./...

bench-many: ## 100,000 connections and as many timers that fall due within an hour, some twenty minutes
	go test -run '^$$' -bench HundredThousandDue -benchtime 1x -timeout 60m ./install
	LONG_TESTS=1 WORKSPACES=100000 go test -count=1 -v -run TestTimersOfMany -timeout 60m ./bot

LOAD ?= --duration 5s
load: build ## a server beside a bare handler, two minutes (LOAD='--mode open'; PostgreSQL: set TEST_DATABASE_URL)
	go run ./cmd/load compare $(LOAD)

manifest: ## manifest.yaml and the table of permissions in docs/running.md, from the handlers
	go run ./cmd/switchboard manifest > manifest.yaml
	go run ./cmd/switchboard manifest --permissions | awk 'FNR == NR { table = table $$0 "\n"; next } \
		/^<!-- \/permissions -->/ { skip = 0 } !skip; /^<!-- permissions -->/ { printf "%s", table; skip = 1 }' - docs/running.md > docs/running.md.new
	mv docs/running.md.new docs/running.md

LINTER = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
lint: ## formatting, tidiness, vet, lint
	test -z "$$(gofmt -l . | tee /dev/stderr)"
	go mod tidy -diff
	go vet ./...
	go vet .ci/shape.go
	go vet .ci/long.go
	go run $(LINTER) run

FOLDER ?= .
shape: ## how the code reads, in numbers (FOLDER=… for a copy of another commit)
	go run .ci/shape.go $(FOLDER)

PICTURES = landing connected poll standup status home
screenshots: ## the README's pictures, from the demo in Chromium
	folder=$$(mktemp -d) && trap 'rm -r $$folder' EXIT && \
		LONG_TESTS=1 SCREENSHOTS=$$folder go test -count=1 -run 'TestBrowser|TestFeaturesAtWork' ./internal/cli && \
		for p in $(PICTURES); do cp $$folder/$$p.png docs/pictures/ || exit; done

recording: ## the README's recording, from the demo in Chromium
	LONG_TESTS=1 RECORDING=$(CURDIR)/docs/pictures/demo.gif go test -count=1 -run TestRecording ./internal/cli

MODULE = github.com/switchboard-go/switchboard
module: ## another module path in every file, for whoever publishes under one (TO=github.com/you/bot)
	@test -n "$(TO)" || { echo 'say which: make module TO=github.com/you/bot' >&2; exit 2; }
	git ls-files -z -- '*.go' '*.md' go.mod Makefile | xargs -0 perl -pi -e 's#\Q$(MODULE)\E\b#$(TO)#g'
	gofmt -w .
