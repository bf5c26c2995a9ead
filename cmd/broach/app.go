package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// app is what all commands share: where they read and write, and what the flags say that each of them has.
type app struct {
	in       io.Reader
	out, log io.Writer // data; all else
	hasRun   bool      // the command line was right; what comes then is no wrong use

	seeds         []string
	file, cluster string
	output, color string
	verbose       bool
	timeout       time.Duration
	isTimed       bool // --timeout was given
}

// formats are what --output may say.
var formats = []string{"table", "json", "jsonl", "csv"}

// root is the whole command line.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "broach",
		Short: "Look at a cluster of broach nodes, and call in it",
		Long: "broach looks at a cluster of broach nodes, and calls in it. It needs the address of one member (-s,\n" +
			"$BROACH_SEEDS, or a configuration file by -f; else 127.0.0.1:18080), joins nothing and leaves no\n" +
			"trace.",
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			a.isTimed = c.Flags().Changed("timeout")
			return a.checkFlags()
		},
	}
	a.addFlags(root)
	root.AddGroup(&cobra.Group{ID: "look", Title: "Look:"}, &cobra.Group{ID: "call", Title: "Call:"},
		&cobra.Group{ID: "run", Title: "Run and build:"})
	add := func(group string, list ...*cobra.Command) {
		for _, c := range list {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("look", a.membersCommand(), a.servicesCommand(), a.describeCommand(), a.watchCommand(), a.pingCommand(),
		a.whoCommand(), a.topCommand(), a.doctorCommand())
	add("call", a.callCommand(), a.traceCommand(), a.benchCommand(), a.shellCommand(), a.publishCommand(),
		a.subscribeCommand())
	add("run", a.devCommand(), a.gatewayCommand(), a.dashboardCommand(), a.seedCommand(), a.genCommand(),
		a.configCommand(), a.keygenCommand())
	root.AddCommand(a.versionCommand())
	root.InitDefaultCompletionCmd()
	if c, _, err := root.Find([]string{"completion"}); err == nil { // a shell that it does not know is wrong use
		c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	}
	return root
}

func (a *app) addFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringArrayVarP(&a.seeds, "seed", "s", nil, "`host:port` of a member; repeatable")
	f.StringVarP(&a.file, "file", "f", "", "configuration `file`: its seeds, address, cluster and keys")
	f.StringVar(&a.cluster, "cluster", "", "`name` of the cluster, where it is not \"default\"")
	f.StringVarP(&a.output, "output", "o", "table", "`format`: "+strings.Join(formats, ", "))
	f.StringVar(&a.color, "color", "auto", "`when` to use colours: auto, always, never")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "what the node logs, on stderr")
	f.DurationVar(&a.timeout, "timeout", 6*time.Second, "how long a call may take; a stream has no limit without it")
	for flag, values := range map[string][]cobra.Completion{"output": formats, "color": {"auto", "always", "never"}} {
		_ = root.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
}

// checkFlags refuses values that no command can use.
func (a *app) checkFlags() error {
	switch {
	case !slices.Contains(formats, a.output):
		return fmt.Errorf("--output %s: it must be one of %s", quoted(a.output), strings.Join(formats, ", "))
	case !slices.Contains([]string{"auto", "always", "never"}, a.color):
		return fmt.Errorf("--color %s: it must be auto, always or never", quoted(a.color))
	case a.timeout <= 0:
		return fmt.Errorf("--timeout %v: it must be more than 0", a.timeout)
	}
	a.hasRun = true
	return nil
}

// hasColor reports whether what goes to out may have colours.
func (a *app) hasColor() bool {
	if a.color != "auto" {
		return a.color == "always"
	}
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && isTerminal(a.out)
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// width is that of the terminal, in cells; 0: what is printed goes to no terminal, and may be as wide as it is.
func (a *app) width() int {
	f, ok := a.out.(*os.File)
	if !ok {
		return 0
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return columns
}

// say prints a sentence that is no data.
func (a *app) say(format string, args ...any) {
	fmt.Fprintln(a.log, clean(fmt.Sprintf(format, args...)))
}
