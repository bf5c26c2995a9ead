package main

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// Completion in real shells: commands, and names of functions, which the seed is asked for.
func TestCompletionInShells(t *testing.T) {
	one, _, end := startCluster(t)
	defer end()
	for _, shell := range []struct {
		args  []string
		setup string
	}{
		{[]string{"bash", "--norc", "-i"},
			". /usr/share/bash-completion/bash_completion; . <(broach completion bash); PS1='re''ady> '\r"},
		{[]string{"zsh", "-f", "-i"},
			"autoload -U compinit; compinit -u -D; . <(broach completion zsh); PS1='re''ady> '\r"},
	} {
		t.Run(shell.args[0], func(t *testing.T) {
			_, err := exec.LookPath(shell.args[0])
			require.NoError(t, err, "it is to be installed: .ci/run does so")
			term := onTerminal(t, 120, one, shell.args...)
			term.press(shell.setup)
			term.await("ready> ")
			term.press("broach desc\twor\t")
			term.await("work01")
			term.press("\r")
			term.await("idempotent: it may run twice")
			term.press("exit\r")
			term.ends()
			requirePrivate(t, cachedNames(t, term.state), `"work01"`)
		})
	}
}

func TestCompletionHasFourShells(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		out, err := exec.Command("broach", "completion", shell).Output()
		require.NoError(t, err)
		require.Contains(t, string(out), "__complete")
	}
}

// Whoever presses the key waits for it: a seed that does not answer holds it up for a moment only.
func TestCompletionWithoutASeedIsEmpty(t *testing.T) {
	out, err := exec.Command("broach", "-s", "127.0.0.1:1", "__complete", "call", "w").Output()
	require.NoError(t, err)
	require.Equal(t, ":4\n", string(out))
}
