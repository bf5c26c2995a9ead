package gateway_test

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"

	"broach"
	"broach/gateway"
)

// A function is called by POST with its arguments, and one that is named like a route at its URL.
func ExampleNew() {
	node, err := broach.Start(broach.Config{LogLevel: "error"})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()
	for name, fn := range map[string]any{
		"shop.add":              func(x, y int) int { return x + y },
		"GET /api/hello/{name}": func(name string) string { return "Hello, " + name + "!" },
	} {
		if err := node.Register(name, fn); err != nil {
			log.Fatal(err)
		}
	}
	g, err := gateway.New(node, gateway.Expose("shop.*"), gateway.RoutesFromNames())
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := gateway.Server("", g)
	defer server.Close()
	go server.Serve(l)

	url := "http://" + l.Addr().String()
	show(http.Post(url+"/rpc/shop.add", "application/json", strings.NewReader("[1, 2]")))
	show(http.Post(url+"/rpc/shop.add", "application/json", strings.NewReader("[1]")))
	show(http.Get(url + "/api/hello/ann"))
	// Output:
	// 200 3
	// 400 InvalidArgument, executed: no
	// 200 "Hello, ann!"
}

func show(r *http.Response, err error) {
	if err != nil {
		log.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		log.Fatal(err)
	}
	if code := r.Header.Get("Broach-Code"); code != "" {
		body = fmt.Appendf(nil, "%s, executed: %s", code, r.Header.Get("Broach-Executed"))
	}
	fmt.Println(r.StatusCode, strings.TrimSpace(string(body)))
}
