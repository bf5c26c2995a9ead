package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"broach"
)

// Exit codes say what a script may do next: nothing, correct itself, or try again later.
const (
	exitDone            = 0
	exitFailed          = 1 // the function failed, or what was looked for is not so
	exitUsage           = 2 // the command line, or an argument of the call, is wrong
	exitUnavailable     = 3 // nobody is there to run the call
	exitLate            = 4
	exitUnauthenticated = 5
	exitNoSeed          = 6
	exitInterrupted     = 130 // as a shell says of SIGINT
)

// usageError is a wrong command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// usagef is such an error.
func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// noSeedError says that nobody answered.
type noSeedError struct{ error }

func (e noSeedError) Unwrap() error { return e.error }

// exitOf are the codes of calls that mean another exit code than exitFailed.
var exitOf = map[broach.Code]int{
	broach.InvalidArgument: exitUsage, broach.TooLarge: exitUsage,
	broach.NotFound: exitUnavailable, broach.Unavailable: exitUnavailable, broach.Unreachable: exitUnavailable,
	broach.CircuitOpen: exitUnavailable, broach.Draining: exitUnavailable, broach.Overloaded: exitUnavailable,
	broach.Closed: exitUnavailable, broach.DeadlineExceeded: exitLate, broach.Unauthenticated: exitUnauthenticated,
	broach.Canceled: exitInterrupted,
}

// exitCode is what the process ends with.
func exitCode(err error) int {
	var wrong usageError
	var nobody noSeedError
	var failed *broach.Error
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &wrong):
		return exitUsage
	case errors.As(err, &nobody):
		return exitNoSeed
	case errors.As(err, &failed) && exitOf[failed.Code] != 0:
		return exitOf[failed.Code]
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, context.DeadlineExceeded):
		return exitLate
	}
	return exitFailed
}

// problem is an error as a document, in the form of RFC 9457.
type problem struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Detail   string `json:"detail"`
	Code     string `json:"code,omitempty"`
	Executed string `json:"executed,omitempty"`
	Service  string `json:"service,omitempty"`
	Node     string `json:"node,omitempty"`
	Exit     int    `json:"exit"`
}

// problemOf makes one of an error.
func problemOf(err error) problem {
	p := problem{Exit: exitCode(err), Detail: err.Error(), Title: "the command failed", Type: "urn:broach:failed"}
	var failed *broach.Error
	switch {
	case errors.As(err, &failed):
		words := strings.Fields(spaced(failed.Code.String()))
		p.Type, p.Title = "urn:broach:"+strings.Join(words, "-"), strings.Join(words, " ")
		p.Code, p.Executed = failed.Code.String(), failed.Executed.String()
		p.Service, p.Node = failed.Service, failed.Node
	case p.Exit == exitUsage:
		p.Type, p.Title = "urn:broach:usage", "wrong use"
	case p.Exit == exitNoSeed:
		p.Type, p.Title = "urn:broach:no-seed", "no seed answered"
	}
	return p
}

// spaced makes words of a name such as NotFound.
func spaced(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && 'A' <= r && r <= 'Z' {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

// report prints an error: a sentence, or, where documents are wanted, a document.
func (a *app) report(err error) {
	if said := (saidError{}); err == nil || errors.As(err, &said) {
		return
	}
	if a.output == "json" || a.output == "jsonl" {
		text, _ := json.Marshal(problemOf(err))
		fmt.Fprintln(a.log, escapeJSON(string(text)))
		return
	}
	text := err.Error()
	if !strings.HasPrefix(text, "broach: ") {
		text = "broach: " + text
	}
	if failed := (*broach.Error)(nil); errors.As(err, &failed) { // a stranger's words, which are to look like no others
		text = clean(text)
	}
	fmt.Fprintln(a.log, cleanLines(text))
}

// saidError is a failure of which all has been said.
type saidError struct{ error }

func (e saidError) Unwrap() error { return e.error }
