// Package environ looks up what the environment says to a program: variables whose names begin with its prefix, by a
// table of names. It does not read the environment itself, and never changes it.
//
// A variable that is set and not looked at is worse than a key of a file that is not: whoever set it sees no place
// where it is wrong. So unknown names with the prefix are returned, too, each with the known one that it is nearest to.
// What is done about them is the Config's: other programs set variables of such names, an orchestrator for each
// service.
//
// It does not know what a variable means, and keeps no value: a value may be a key. There is one file, with one
// function.
package environ

import (
	"slices"
	"sort"
	"strings"

	"broach/internal/jsonfile"
)

// A Stray is a variable with the prefix that is not known, and the known one that its name is nearest to.
type Stray struct{ Name, Nearest string }

// Pick returns the values of the known variables, by name, and the strays, sorted. A stray that is empty says nothing,
// and is none. Environ has the form of os.Environ, known is not empty.
func Pick(prefix string, known, environ []string) (values map[string]string, strays []Stray) {
	var schema jsonfile.Schema
	for _, name := range known {
		schema.Keys = append(schema.Keys, jsonfile.Key{Path: name})
	}
	values = make(map[string]string)
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		switch {
		case slices.Contains(known, name):
			values[name] = value
		case strings.HasPrefix(name, prefix) && value != "":
			strays = append(strays, Stray{name, schema.Nearest("", name)})
		}
	}
	sort.Slice(strays, func(i, j int) bool { return strays[i].Name < strays[j].Name })
	return values, strays
}
