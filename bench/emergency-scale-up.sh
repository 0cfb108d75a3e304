#!/bin/bash
# The runbook's emergency-scale-up.sh (3.2), word for word, until its new pods are ready.

echo "Emergency scale up initiated at $(date)"

# Pause auto-scaler to prevent interference
kubectl annotate scaledobject tensafe-scaledobject -n tensafe \
    autoscaling.keda.sh/paused="true"

# Get current replicas
CURRENT=$(kubectl get deployment tensafe-server -n tensafe -o jsonpath='{.spec.replicas}')
TARGET=$((CURRENT * 2))

echo "Scaling from $CURRENT to $TARGET replicas"

# Scale up
kubectl scale deployment/tensafe-server -n tensafe --replicas=$TARGET

# Wait for ready
kubectl rollout status deployment/tensafe-server -n tensafe --timeout=300s
