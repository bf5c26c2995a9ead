package main

import (
	"bufio"
	"context"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"broach"
	"broach/gateway"
)

// gatewayFlags are options of a gateway.
type gatewayFlags struct {
	addr, node, tokens                              string
	expose, events, publish, routes, origins, hosts []string
	fromNames, insecure, showNodes                  bool
}

func (a *app) gatewayCommand() *cobra.Command {
	var f gatewayFlags
	c := &cobra.Command{
		Use: "gateway", Short: "Run a gateway: functions of the cluster over HTTP, until it is interrupted",
		Args: cobra.NoArgs,
		Long: "Run a gateway: functions of the cluster over HTTP, until it is interrupted. It joins as a member,\n" +
			"and starts closed: only what --expose names can be called, and only from this host, unless there are\n" +
			"tokens. docs/http.md has what it answers.",
		Example: "  broach gateway --expose 'work*'\n  curl -d '[1, 2]' -H 'Content-Type: application/json' " +
			"http://127.0.0.1:18090/rpc/work01",
		RunE: func(c *cobra.Command, _ []string) error { return a.runGateway(c.Context(), f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.addr, "addr", "127.0.0.1:18090", "`ip:port` to serve HTTP at")
	flags.StringVar(&f.node, "node", "", "`ip:port` of the member; without it a free port")
	flags.StringArrayVar(&f.expose, "expose", nil, "functions whose names match the `pattern`; repeatable")
	flags.StringArrayVar(&f.events, "expose-events", nil, "topics that can be subscribed to, by `pattern`; repeatable")
	flags.StringArrayVar(&f.publish, "publish-events", nil, "topics that can be published, by `pattern`; repeatable")
	flags.StringArrayVar(&f.routes, "route", nil, "`pattern=function`, as 'GET /hello/{name}=hello'; repeatable")
	flags.BoolVar(&f.fromNames, "routes-from-names", false, "functions that are named like routes are routes")
	flags.StringVar(&f.tokens, "tokens", "", "`file` of who may call: a line for each, with a token and a name")
	flags.BoolVar(&f.insecure, "insecure-no-auth", false, "let in everybody who reaches it, from other hosts too")
	flags.StringArrayVar(&f.origins, "origin", nil, "pages of that `origin` may call; repeatable")
	flags.StringArrayVar(&f.hosts, "host", nil, "it is also reached by that `name`; repeatable")
	flags.BoolVar(&f.showNodes, "show-nodes", false, "addresses of nodes in answers")
	return c
}

func (a *app) runGateway(ctx context.Context, f gatewayFlags) error {
	opts, err := f.options()
	if err != nil {
		return err
	}
	if err := gateway.Check(opts...); err != nil {
		return usageError{err}
	}
	return a.serve(ctx, front{
		name: "broach-gateway", node: f.node, addr: f.addr, greeting: "serving",
		open: func(n *broach.Node) (*http.Server, func(), error) {
			g, err := gateway.New(n, opts...)
			if err != nil {
				return nil, nil, err
			}
			return gateway.Server(f.addr, g), func() { _ = g.Close() }, nil
		},
	})
}

func (f *gatewayFlags) options() (opts []gateway.Option, err error) {
	for _, o := range []struct {
		option func(...string) gateway.Option
		names  []string
	}{
		{gateway.Expose, f.expose}, {gateway.ExposeEvents, f.events}, {gateway.PublishEvents, f.publish},
		{gateway.Origins, f.origins}, {gateway.Hosts, f.hosts},
	} {
		if len(o.names) > 0 {
			opts = append(opts, o.option(o.names...))
		}
	}
	for _, route := range f.routes {
		at := strings.LastIndexByte(route, '=')
		if at < 0 {
			return nil, usagef("--route %s: it must be pattern=function", quoted(route))
		}
		opts = append(opts, gateway.Route(route[:at], route[at+1:]))
	}
	for _, o := range []struct {
		isWanted bool
		option   gateway.Option
	}{
		{f.fromNames, gateway.RoutesFromNames()}, {f.insecure, gateway.InsecureNoAuth()},
		{f.showNodes, gateway.ShowNodes()},
	} {
		if o.isWanted {
			opts = append(opts, o.option)
		}
	}
	if f.tokens != "" {
		callers, err := readTokens(f.tokens)
		if err != nil {
			return nil, err
		}
		opts = append(opts, gateway.BearerTokens(callers))
	}
	return opts, nil
}

// readTokens reads who may call. What is wrong is said by the number of the line: its text may be a token.
func readTokens(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, usageError{err}
	}
	defer f.Close()
	callers := map[string]string{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) == 0 || strings.HasPrefix(fields[0], "#"):
		case len(fields) != 2:
			return nil, usagef("%s: line %d: it must be a token and a name", path, n)
		default:
			callers[fields[0]] = fields[1]
		}
	}
	if len(callers) == 0 && lines.Err() == nil {
		return nil, usagef("%s: there is no token in it: nobody could call", path)
	}
	return callers, lines.Err()
}
