package main

import (
	"context"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"broach"
	"broach/dashboard"
)

// dashboardFlags are options of a dashboard.
type dashboardFlags struct {
	addr, node, token string
	calls, hosts      []string
	actions           bool
	every             time.Duration
}

func (a *app) dashboardCommand() *cobra.Command {
	var f dashboardFlags
	c := &cobra.Command{
		Use: "dashboard", Short: "Run a page that shows the cluster, until it is interrupted", Args: cobra.NoArgs,
		Long: "Run a page that shows the cluster, until it is interrupted. It joins as a member. Without --token\n" +
			"the page serves this host only, and nothing can be done there but to look.",
		RunE: func(c *cobra.Command, _ []string) error { return a.runDashboard(c.Context(), f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.addr, "addr", "127.0.0.1:8088", "`ip:port` to serve HTTP at")
	flags.StringVar(&f.node, "node", "", "`ip:port` of the member; without it a free port")
	flags.StringVar(&f.token, "token", "", "`file` with the token of who may look")
	flags.StringArrayVar(&f.calls, "allow-calls", nil, "functions that can be called, by `pattern`; repeatable")
	flags.BoolVar(&f.actions, "allow-actions", false, "members can be forgotten, and this one told to leave")
	flags.StringArrayVar(&f.hosts, "host", nil, "it is also reached by that `name`; repeatable")
	flags.DurationVar(&f.every, "every", 0, "`time` from one look at a member to the next; 2 s without it")
	return c
}

func (a *app) runDashboard(ctx context.Context, f dashboardFlags) error {
	opts, err := f.options()
	if err != nil {
		return err
	}
	if err := dashboard.Check(opts...); err != nil {
		return usageError{err}
	}
	fragment := ""
	if f.token != "" {
		fragment = "/#token=…, as " + f.token + " has it"
	}
	return a.serve(ctx, front{
		name: "broach-dashboard", node: f.node, addr: f.addr, greeting: "open", fragment: fragment,
		open: func(n *broach.Node) (*http.Server, func(), error) {
			page, err := dashboard.New(n, opts...)
			return &http.Server{Handler: page, ReadHeaderTimeout: shutdownWithin}, nil, err
		},
	})
}

func (f *dashboardFlags) options() (opts []dashboard.Option, err error) {
	if f.token != "" {
		text, err := os.ReadFile(f.token)
		if err != nil {
			return nil, usageError{err}
		}
		opts = append(opts, dashboard.Token(strings.TrimSpace(string(text))))
	}
	if len(f.calls) > 0 {
		opts = append(opts, dashboard.AllowCalls(f.calls...))
	}
	if f.actions {
		opts = append(opts, dashboard.AllowActions())
	}
	if len(f.hosts) > 0 {
		opts = append(opts, dashboard.Hosts(f.hosts...))
	}
	if f.every > 0 {
		opts = append(opts, dashboard.Every(f.every))
	}
	return opts, nil
}
