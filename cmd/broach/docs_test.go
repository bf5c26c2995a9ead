package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var shownCommand = regexp.MustCompile(`(?m)^ *\$ (?:.*; )?broach (.*)$`)

// What the documents show somebody typing are commands that there are, with flags that they have.
func TestCommandsInTheDocumentsAreCommands(t *testing.T) {
	for _, file := range []string{"../../docs/session.md", "../../README.md"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		lines := shownCommand.FindAllStringSubmatch(string(text), -1)
		require.NotEmpty(t, lines, file)
		for _, line := range lines {
			words := strings.Fields(strings.ReplaceAll(strings.TrimSuffix(line[1], "&"), "'", ""))
			c, rest, err := (&app{}).root().Find(words)
			require.NoError(t, err, "%s: %s", file, line[0])
			require.True(t, c.HasParent(), "%s: %s", file, line[0])
			require.NoError(t, c.ParseFlags(rest), "%s: %s", file, line[0])
			require.NoError(t, c.ValidateArgs(c.Flags().Args()), "%s: %s", file, line[0])
		}
	}
}
