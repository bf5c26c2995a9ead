package gateway

import (
	"net/http"
	"time"
)

// Limits of Server.
const (
	headerBytes = 16 << 10 // of a request; net/http adds 4 KiB
	headerTime  = 10 * time.Second
	idleTime    = 2 * time.Minute
	writeTime   = 10 * time.Minute // of a whole request; event streams have their own
)

// Server returns a server for a Gateway, with limits for clients that are slow or say too much: 16 KiB of header, 10 s
// to send it, 2 minutes between two requests. It speaks HTTP/1.1, and HTTP/2 also without TLS. Shutdown ends event
// streams and waits for the requests under way. The server is not started.
func Server(addr string, g *Gateway) *http.Server {
	s := &http.Server{
		Addr: addr, Handler: g, MaxHeaderBytes: headerBytes, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime,
		WriteTimeout: writeTime, Protocols: new(http.Protocols),
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	s.RegisterOnShutdown(func() { _ = g.Close() })
	return s
}
