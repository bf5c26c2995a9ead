package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"broach"
)

// typeItem is a type in JSON.
type typeItem struct {
	Kind   string      `json:"kind"`
	Name   string      `json:"name,omitempty"`
	Elem   *typeItem   `json:"elem,omitempty"`
	Key    *typeItem   `json:"key,omitempty"`
	Fields []fieldItem `json:"fields,omitempty"`
	Len    int         `json:"len,omitempty"`
}

type fieldItem struct {
	Name     string   `json:"name"`
	Type     typeItem `json:"type"`
	Optional bool     `json:"optional,omitempty"`
}

type descriptionItem struct {
	Name       string      `json:"name"`
	Signature  string      `json:"signature"`
	Doc        string      `json:"doc"`
	Params     []fieldItem `json:"params"`
	Results    []typeItem  `json:"results"`
	Variadic   bool        `json:"variadic"`
	Idempotent bool        `json:"idempotent"`
	StreamsIn  bool        `json:"streams_in"`  // the last of params is an item of a stream
	StreamsOut bool        `json:"streams_out"` // results are an item of a stream
}

func (a *app) describeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "describe NAME", Short: "Say what a function takes and returns", Args: cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(c *cobra.Command, args []string) error {
			s, err := a.open(c.Context())
			if err != nil {
				return err
			}
			defer s.Close()
			d, err := s.describe(c.Context(), a, args[0])
			if err != nil {
				return err
			}
			return a.emitDescription(d)
		},
	}
}

// describe is Describe, whose error says which name was meant.
func (s *session) describe(ctx context.Context, a *app, name string) (broach.Description, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	d, err := s.Describe(ctx, name)
	if errors.Is(err, broach.ErrNotFound) {
		err = s.withNearest(ctx, name, err)
	}
	return d, err
}

// withNearest adds to an error the offered name that resembles the one that nobody offers.
func (s *session) withNearest(ctx context.Context, name string, err error) error {
	v, failed := s.view(ctx, "", broach.ViewServices)
	if failed != nil {
		return err
	}
	names := make([]string, len(v.Services))
	for i, f := range v.Services {
		names[i] = f.Name
	}
	if near := nearest(name, names); near != "" {
		return fmt.Errorf("%w; did you mean %s?", err, near)
	}
	return err
}

func (a *app) emitDescription(d broach.Description) error {
	if a.output != "table" {
		return a.emitJSON(itemOfDescription(d))
	}
	fmt.Fprintln(a.out, clean(d.Signature))
	if d.Doc != "" {
		fmt.Fprintln(a.out, "  "+clean(d.Doc))
	}
	for i, p := range d.Params {
		name := p.Name
		if name == "" {
			name = fmt.Sprintf("argument %d", i+1)
		}
		if d.StreamsIn && i == len(d.Params)-1 {
			name += ", each item"
		}
		a.emitType("  ", name, p.Type, false)
	}
	name := "result"
	if d.StreamsOut {
		name = "result, each item"
	}
	for _, t := range d.Results {
		a.emitType("  ", name, t, false)
	}
	if d.Idempotent {
		fmt.Fprintln(a.out, "  idempotent: it may run twice for one call")
	}
	return nil
}

// emitType prints a type, and below it the fields of structs within.
func (a *app) emitType(indent, name string, t broach.Type, isOptional bool) {
	note := ""
	if isOptional {
		note = ", may be left out"
	}
	fmt.Fprintf(a.out, "%s%s: %s%s\n", indent, clean(name), clean(typeText(t)), note)
	for inner := &t; inner != nil; inner = inner.Elem {
		for _, f := range inner.Fields {
			a.emitType(indent+"  ", f.Name, f.Type, f.Optional)
		}
	}
}

// typeText is a type in a line, with how it is written in JSON where that is not plain.
func typeText(t broach.Type) string {
	switch t.Kind {
	case "slice":
		return "list of " + typeText(*t.Elem)
	case "array":
		return fmt.Sprintf("list of %d %s", t.Len, typeText(*t.Elem))
	case "map":
		return "map from " + typeText(*t.Key) + " to " + typeText(*t.Elem)
	case "pointer":
		return typeText(*t.Elem) + " or null"
	case "struct", "ref":
		return strings.TrimSpace("struct " + t.Name)
	case "bytes":
		return "bytes, in base64"
	case "time":
		return "time, as 2006-01-02T15:04:05Z"
	case "duration":
		return "duration, as 1.5s"
	}
	return t.Kind
}

func itemOfDescription(d broach.Description) descriptionItem {
	item := descriptionItem{Name: d.Name, Signature: d.Signature, Doc: d.Doc, Params: fieldItems(d.Params),
		Results: []typeItem{}, Variadic: d.Variadic, Idempotent: d.Idempotent, StreamsIn: d.StreamsIn,
		StreamsOut: d.StreamsOut}
	for _, t := range d.Results {
		item.Results = append(item.Results, *itemOfType(&t))
	}
	return item
}

func fieldItems(list []broach.Field) []fieldItem {
	items := make([]fieldItem, len(list))
	for i, f := range list {
		items[i] = fieldItem{f.Name, *itemOfType(&f.Type), f.Optional}
	}
	return items
}

func itemOfType(t *broach.Type) *typeItem {
	if t == nil {
		return nil
	}
	return &typeItem{t.Kind, t.Name, itemOfType(t.Elem), itemOfType(t.Key), fieldItems(t.Fields), t.Len}
}
