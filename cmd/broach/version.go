package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versionItem is what this program was built of, in JSON.
type versionItem struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
	System  string `json:"system"`
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Say what this program was built of", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := versionItem{"unknown", "unknown", runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			if built, ok := debug.ReadBuildInfo(); ok {
				v.Version = built.Main.Version
				for _, s := range built.Settings {
					if s.Key == "vcs.revision" {
						v.Commit = s.Value
					}
				}
			}
			if a.isForPrograms() {
				return a.emitJSON(v)
			}
			_, err := fmt.Fprintf(a.out, "broach %s, commit %s, %s, %s\n", v.Version, v.Commit, v.Go, v.System)
			return err
		},
	}
}
