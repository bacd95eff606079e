import { Emitter } from 'socketbus/emitter';

// The function's name is in the environment, where `grantPublish` put it.
const bus = new Emitter();

export const handler = async ({ customerId, orderId }: { customerId: string; orderId: number }) => {
  const { audience } = await bus.to(`customer:${customerId}`).emit('order-placed', { orderId });
  return { told: audience };
};
