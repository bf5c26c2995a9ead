package main

import (
	"context"
	"encoding/binary"
	"errors"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// grpcSystem is gRPC with its defaults, one ClientConn shared by all callers, without TLS.
var grpcSystem = system{
	name: "grpc", title: "gRPC", streams: true,
	serve: func() (server, error) { return serveGRPC() },
	dial:  func(addr string) (client, error) { return dialGRPC(addr, insecure.NewCredentials()) },
}

// The default of gRPC is 4 MiB; the limit costs nothing by itself.
const pbMaxMessage = 128 << 20

// pbService is the service description that protoc-gen-go-grpc would generate.
var pbService = grpc.ServiceDesc{
	ServiceName: "bench.Bench",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{
		{MethodName: "Add", Handler: unary(pbServer.Add)},
		{MethodName: "Echo", Handler: unary(pbServer.Echo)},
		{MethodName: "Put", Handler: unary(pbServer.Put)},
	},
	Streams: []grpc.StreamDesc{pbItems},
}

// pbItems streams items of a size as itemsOf does, to a client that ends its context.
var pbItems = grpc.StreamDesc{StreamName: "Items", ServerStreams: true,
	Handler: func(_ any, s grpc.ServerStream) error {
		size := new(wrapperspb.Int64Value)
		err := s.RecvMsg(size)
		item := make([]byte, size.GetValue())
		for n := uint64(0); err == nil; n++ {
			binary.LittleEndian.PutUint64(item, n)
			err = s.SendMsg(wrapperspb.Bytes(item)) // encoded when it returns
		}
		return err
	},
}

// grpcClient is a pbClient that streams, too.
type grpcClient struct {
	pbClient
	conn *grpc.ClientConn
}

func (c grpcClient) stream(size int, each func(item []byte) bool) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s, err := c.conn.NewStream(ctx, &pbItems, "/bench.Bench/Items")
	if err == nil {
		err = errors.Join(s.SendMsg(wrapperspb.Int64(int64(size))), s.CloseSend())
	}
	for err == nil {
		item := new(wrapperspb.BytesValue)
		if err = s.RecvMsg(item); err == nil && !each(item.GetValue()) {
			return nil
		}
	}
	return err
}

// unary makes a gRPC handler of a method.
func unary[In, Out any](method func(pbServer, context.Context, *In) (*Out, error)) grpc.MethodHandler {
	return func(srv any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		in := new(In)
		if err := dec(in); err != nil {
			return nil, err
		}
		return method(srv.(pbServer), ctx, in)
	}
}

func serveGRPC(opts ...grpc.ServerOption) (server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return server{}, err
	}
	s := grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(pbMaxMessage))...)
	s.RegisterService(&pbService, pbServer{})
	go s.Serve(l)
	return server{addr: l.Addr().String(), stop: s.Stop}, nil
}

func dialGRPC(addr string, creds credentials.TransportCredentials, opts ...grpc.DialOption) (client, error) {
	conn, err := grpc.NewClient(addr, append(opts, grpc.WithTransportCredentials(creds))...)
	if err != nil {
		return nil, err
	}
	invoke := func(method string, in, out any) error {
		return conn.Invoke(context.Background(), method, in, out)
	}
	return grpcClient{pbClient{invoke, conn.Close}, conn}, nil
}
