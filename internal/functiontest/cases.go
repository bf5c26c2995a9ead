// Package functiontest says what a call means, wherever the function runs: called with bytes, in this process, at a
// peer. It is a table of cases, for the tests of each of these ways. It knows nothing of nodes.
//
// Whoever has a way to call a function gives Run a Call that goes this way. What a case expects is said once, so the
// ways cannot drift apart: a caller must not be able to tell where a function has run.
//
//	cases.go      Case, Failure, Run
//	results.go    what becomes of results, and which functions there are
//	arguments.go  which values a parameter takes
//	methods.go    types that encode themselves, and values that cannot be sent
//	streams.go    functions that stream, one way and both
//	types.go      what the cases pass around; values.go a value of each kind
package functiontest

import (
	"slices"
	"testing"

	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

// A Case is one function and one call of it.
type Case struct {
	Name    string
	Fn      any
	Args    []any
	Want    any     // the result, as Call gives it
	Failure Failure // the zero value for none

	after []any // what Args must be afterwards, where the function changes what it got
}

// A Failure is the error of a call, of whatever type it is to those who made the call.
type Failure struct {
	Code     wire.Code
	Executed wire.Executed
	Text     string // of a Case: part of it
}

// A Call offers fn under that name and calls it. What failed is nil if the call did not fail.
type Call func(t *testing.T, name string, fn any, args []any) (result any, failed *Failure)

// Run holds a way of calling to what the cases say.
func Run(t *testing.T, cases []Case, call Call) {
	require.NotEmpty(t, cases)
	for _, c := range cases {
		got, failed := call(t, "f", c.Fn, c.Args)
		c.require(t, got, failed)
	}
}

func (c Case) require(t *testing.T, got any, failed *Failure) {
	if c.Fails() {
		require.NotNil(t, failed, c.Name)
		require.Equal(t, c.Failure.Code, failed.Code, "%s: %s", c.Name, failed.Text)
		require.Contains(t, failed.Text, c.Failure.Text, c.Name)
		require.Equal(t, c.Failure.Executed, failed.Executed, c.Name)
	} else {
		require.Nil(t, failed, c.Name)
		require.Equal(t, c.Want, got, c.Name)
	}
	if c.after != nil {
		require.Equal(t, c.after, c.Args, c.Name)
	}
}

// Fails reports that the call must fail.
func (c Case) Fails() bool { return c.Failure.Code != 0 }

// gives is a call that comes to a result.
func gives(name string, want, fn any, args ...any) Case {
	return Case{Name: name, Fn: fn, Args: args, Want: want}
}

// refused is a call whose arguments the function does not take, so it does not run.
func refused(name, text string, fn any, args ...any) Case {
	return Case{Name: name, Fn: fn, Args: args, Failure: Failure{wire.InvalidArgument, wire.ExecutedNo, text}}
}

// fails is a call that fails when the function has run.
func fails(name string, code wire.Code, text string, fn any, args ...any) Case {
	return Case{Name: name, Fn: fn, Args: args, Failure: Failure{code, wire.ExecutedYes, text}}
}

// leaving says what the arguments must be afterwards.
func (c Case) leaving(args ...any) Case {
	c.after = args
	return c
}

// Cases are all cases, of functions that know nothing of nodes.
var Cases = slices.Concat(
	results, structs, signatures, variadics, counts, numbers, texts, pointers, anything, methods, unsendable, functions,
)
