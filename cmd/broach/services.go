package main

import (
	"path"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"broach"
)

// serviceItem is a function in JSON.
type serviceItem struct {
	Name      string   `json:"name"`
	Signature string   `json:"signature"`
	Doc       string   `json:"doc"`
	Providers []string `json:"providers"`
}

func (a *app) servicesCommand() *cobra.Command {
	var from, name string
	var wide bool
	c := &cobra.Command{
		Use: "services", Short: "List functions that are offered", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.services(c, from, name, wide) },
	}
	c.Flags().StringVar(&from, "from", "", "what the member at that `address` believes")
	c.Flags().StringVar(&name, "name", "", "only functions of that `name`; * stands for anything")
	c.Flags().BoolVar(&wide, "wide", false, "with who offers them")
	return c
}

func (a *app) services(c *cobra.Command, from, name string, wide bool) error {
	if _, err := path.Match(name, ""); err != nil {
		return usagef("--name %s: it is no pattern", quoted(name))
	}
	s, err := a.open(c.Context())
	if err != nil {
		return err
	}
	defer s.Close()
	v, err := s.view(c.Context(), from, broach.ViewServices)
	if err != nil {
		return err
	}
	isWanted := func(f string) bool {
		isNamed, _ := path.Match(name, f)
		return name == "" || isNamed
	}
	return a.emit(listServices(v, isWanted), wide)
}

func listServices(v broach.View, isWanted func(name string) bool) listing {
	l := listing{columns: columnsOf("NAME", "PROVIDERS", "*AT", "SIGNATURE", "DOC")}
	for _, f := range v.Services {
		if isWanted(f.Name) {
			at := addrWords(f)
			l.add(serviceItem{f.Name, f.Signature, f.Doc, at}, f.Name, strconv.Itoa(len(at)), strings.Join(at, " "),
				f.Signature, f.Doc)
		}
	}
	return l
}

func addrWords(f broach.Service) []string {
	list := make([]string, len(f.Providers))
	for i, at := range f.Providers {
		list[i] = at.String()
	}
	return list
}
